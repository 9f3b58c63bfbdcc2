/**
 * The same homeserver twice: a Synapse with a media repository of its own, and one without, with Cellarium before it as
 * docs/synapse-admin-api.md has it. What both are asked is asked with the same words, so that their answers can be compared.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { startServer } from './server.ts'
import { temporaryFolder } from './folder.ts'
import { type Registered, startSynapse } from './synapse.ts'

export const SERVER_NAME = 'example.org'

export interface Asked {
  readonly method?: string
  readonly token?: string | undefined
  readonly body?: unknown
  readonly type?: string
  readonly headers?: Readonly<Record<string, string>>
}

export interface Got {
  readonly status: number
  readonly body: unknown
  readonly headers: Headers
}

export interface Side extends AsyncDisposable {
  readonly ask: (path: string, asked?: Asked) => Promise<Got>
  readonly user: (name: string) => Registered
}

export const USERS = ['admin', 'alice', 'bob'] as const

/** Synapse alone. */
export async function synapseSide(): Promise<Side> {
  await using cleanup = new AsyncDisposableStack()
  const synapse = cleanup.use(await startSynapse({ serverName: SERVER_NAME, servesMedia: true }))
  return await side(synapse, () => synapse.url, cleanup.move())
}

/** Cellarium before a Synapse. Its administrators are listed in `admins`, if `config` does not say otherwise. */
export async function ourSide(config: Readonly<Record<string, unknown>> = {}): Promise<Side> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  const synapse = cleanup.use(await startSynapse({ serverName: SERVER_NAME }))
  const server = cleanup.use(
    await startServer({
      folder,
      config: {
        homeservers: [{ name: SERVER_NAME, csApi: synapse.url, adminApiKind: 'synapse' }],
        admins: [`@admin:${SERVER_NAME}`],
        uploads: { minBytes: 0 },
        quarantine: { replaceThumbnails: false },
        ...config,
      },
    }),
  )
  const toUs = [documentedLabel(), /^\/_matrix\/(media|client\/v1\/media|federation\/v1\/media)\//]
  const baseOf = (path: string) => (toUs.some((label) => label.test(path)) ? server.url : synapse.url)
  return await side(synapse, baseOf, cleanup.move())
}

/** The paths that the manual sends to Cellarium. */
export function documentedLabel(): RegExp {
  const manual = readFileSync(join(import.meta.dirname, '../../docs/synapse-admin-api.md'), 'utf8')
  const [, label] = /location ~ (\^\/_synapse\/\S+) \{/.exec(manual) ?? []
  if (label === undefined) throw new Error('docs/synapse-admin-api.md has no "location ~ ^/_synapse/…"')
  return new RegExp(label)
}

async function side(
  synapse: { readonly register: (name: string, password: string, options: { admin: boolean }) => Promise<Registered> },
  baseOf: (path: string) => string,
  owned: AsyncDisposableStack,
): Promise<Side> {
  const users = new Map<string, Registered>()
  for (const name of USERS) users.set(name, await synapse.register(name, 'a password', { admin: name === 'admin' }))
  return {
    ask: async (path, asked = {}) => await send(`${baseOf(path.split('?', 1)[0] ?? '')}${path}`, asked),
    user: (name) => {
      const user = users.get(name)
      if (!user) throw new Error(`nobody is called ${name}`)
      return user
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function send(
  url: string,
  { method = 'GET', token, body, type = 'application/json', headers }: Asked,
): Promise<Got> {
  const isRaw = body instanceof Uint8Array
  const response = await fetch(url, {
    method,
    headers: {
      // As the reverse proxy says it.
      'x-forwarded-host': SERVER_NAME,
      'content-type': type,
      ...headers,
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    ...(body === undefined ? {} : { body: isRaw ? new Uint8Array(body) : JSON.stringify(body) }),
  })
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.startsWith('application/json') ?? false
  return { status: response.status, body: isJson ? JSON.parse(text) : text, headers: response.headers }
}
