/** A real Synapse that has all kinds of media, by its own API, and a Cellarium for it. */
import { createHash, randomBytes } from 'node:crypto'
import sharp from 'sharp'
import { expect } from 'vitest'
import { temporaryFolder } from './folder.ts'
import { fetchAs } from './matrix-client.ts'
import { startPage } from './preview-page.ts'
import { type Server, startServer } from './server.ts'
import { freePort } from './services.ts'
import type { Person, Stack } from './stacks.ts'

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const nameOf = (mxc: string) => mxc.slice('mxc://'.length)

/** What a Synapse was made to have, by its own API. */
export interface Filled {
  /** Names that clients get, and the hash of what they got. */
  readonly served: ReadonlyMap<string, string>
  readonly quarantined: readonly string[]
  readonly protectedName: string
  readonly alice: Person
}

/** Local and remote, quarantined, protected, pending, previews, Unicode names, no bytes; `bob` is at another server. */
export async function fillWithMedia(stack: Stack, bob: Person): Promise<Filled> {
  const alice = await stack.person('alice')
  const served = new Map<string, string>()
  const upload = async (by: Person, bytes: Buffer<ArrayBuffer>, name: string, type = 'application/octet-stream') => {
    const mxc = await by.upload(bytes, { name, type })
    served.set(nameOf(mxc), sha256(bytes))
    return nameOf(mxc)
  }
  const picture = await sharp({ create: { width: 300, height: 200, channels: 3, background: '#c04020' } })
    .png()
    .toBuffer()
  await upload(alice, Buffer.from(picture), 'naïve ✓ 画像.png', 'image/png')
  await upload(alice, Buffer.from(randomBytes(300_000)), 'large.bin')
  await upload(alice, Buffer.alloc(0), 'nothing')
  const protectedName = await upload(alice, Buffer.from('a sticker'), 'sticker.txt', 'text/plain')
  const abuse = await upload(alice, Buffer.from(`abuse ${stack.name}`), 'abuse')
  const theirs = await upload(bob, Buffer.from(randomBytes(50_000)), 'theirs.bin')
  const theirAbuse = await upload(bob, Buffer.from(`their abuse ${stack.name}`), 'their abuse')
  for (const name of [theirs, theirAbuse]) expect((await alice.get(`mxc://${name}`)).status).toBe(200)
  const post = async (path: string) => {
    const answer = await fetchAs(alice.client, `${stack.homeserverUrl}${path}`, { method: 'POST', body: '{}' })
    expect(answer.status, path).toBe(200)
  }
  await post(`/_synapse/admin/v1/media/protect/${protectedName.split('/')[1]}`)
  const quarantined = [abuse, theirAbuse]
  for (const name of quarantined) await post(`/_synapse/admin/v1/media/quarantine/${name}`)
  for (const name of quarantined) served.delete(name)
  await post('/_matrix/media/v1/create')
  await using page = await startPage(await freePort(), picture)
  const query = new URLSearchParams({ url: `http://page.test:${page.port}/` })
  const address = `${stack.homeserverUrl}/_matrix/client/v1/media/preview_url?${query.toString()}`
  const preview = await fetchAs(alice.client, address)
  expect(await preview.json()).toMatchObject({ 'og:image': expect.stringMatching(/^mxc:/) })
  return { served, quarantined, protectedName, alice }
}

/** A Cellarium for the homeserver, with nothing in it. */
export async function ourServer(stack: Stack, config: Readonly<Record<string, unknown>> = {}): Promise<Server> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  const server = cleanup.use(
    await startServer({
      folder,
      config: {
        homeservers: [{ name: stack.name, csApi: stack.homeserverUrl, adminApiKind: 'synapse' }],
        admins: [`@alice:${stack.name}`],
        uploads: { minBytes: 0 },
        quarantine: { replaceThumbnails: false },
        ...config,
      },
    }),
  )
  const owned = cleanup.move()
  return { ...server, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
