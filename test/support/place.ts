/** A real server of two users with a folder of its own, and what its disk holds. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, vi } from 'vitest'
import { type HomeserverDouble, startHomeserver } from './homeserver.ts'
import { mediaClient } from './media-client.ts'
import { type Server, startServer } from './server.ts'
import { temporaryFolder } from './folder.ts'

export interface Place extends AsyncDisposable {
  readonly server: Server
  readonly mediaFolder: string
  readonly alice: ReturnType<typeof mediaClient>
  readonly bob: ReturnType<typeof mediaClient>
  /** Every file below the media folder, staged ones included. */
  readonly files: () => Promise<string[]>
  /** Those that are objects. */
  readonly objects: () => Promise<string[]>
}

export interface PlaceOptions {
  /** A program that becomes the server, with its arguments. */
  readonly wrap?: readonly string[]
  /** Where its datastore is, if the configuration puts it elsewhere. */
  readonly mediaFolder?: string
}

/** A server of two users, with a folder of its own. */
export async function startPlace(
  config: Readonly<Record<string, unknown>> = {},
  options: PlaceOptions = {},
): Promise<Place> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  const homeserver: HomeserverDouble = cleanup.use(await startHomeserver())
  homeserver.addUser({ token: 'alice-token', userId: '@alice:example.org' })
  homeserver.addUser({ token: 'bob-token', userId: '@bob:example.org' })
  const homeservers = [{ name: homeserver.serverName, csApi: homeserver.url }]
  const server = cleanup.use(
    await startServer({
      folder,
      config: { homeservers, uploads: { minBytes: 0 }, ...config },
      ...(options.wrap ? { wrap: options.wrap } : {}),
    }),
  )
  const mediaFolder = options.mediaFolder ?? join(folder, 'data', 'media')
  const files = () => filesBelow(mediaFolder)
  const owned = cleanup.move()
  return {
    server,
    mediaFolder,
    alice: mediaClient(server, 'alice-token'),
    bob: mediaClient(server, 'bob-token'),
    files,
    objects: async () => (await files()).filter((path) => !path.includes('/.staging/')),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  const paths = files.map((entry) => join(entry.parentPath, entry.name))
  // The server looks whether it can write.
  return paths.filter((path) => !path.includes('/.staging/check-')).toSorted()
}

/** Waits until `/healthz` answers with this status. */
export async function untilHealth(server: { readonly url: string }, status: number): Promise<void> {
  await vi.waitFor(async () => expect((await fetch(`${server.url}/healthz`)).status).toBe(status), { timeout: 30_000 })
}
