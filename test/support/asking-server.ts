/** Another homeserver that asks for our media: it publishes its key on a small internet, and signs with it. */
import { signRequest } from '../../src/matrix/x-matrix.ts'
import type { SigningKey } from '../../src/matrix/keys/signing-key.ts'
import { type Answered, type AppOptions, type Asked, startApp, type TestApp } from './app.ts'
import { keyBody, newKey, type Published } from './key-servers.ts'
import { startSmallInternet } from './small-internet.ts'

export const ASKER = 'asker.test'
const PREFIX = '/_matrix/federation/v1/media'
const HOUR_MS = 3_600_000

export interface SignedAsk extends Asked {
  /** Who asks, whom, and with which key; `asker.test` asks `example.org`, if not given. */
  readonly origin?: string
  readonly destination?: string
  readonly key?: SigningKey
}

export interface AskedByServers extends AsyncDisposable {
  readonly app: TestApp
  readonly key: SigningKey
  /** Asks with a signature for `/_matrix/federation/v1/media/…`. */
  readonly ask: (path: string, asked?: SignedAsk) => Promise<Answered>
  /** The value of its `Authorization` header. */
  readonly authorization: (path: string, asked?: SignedAsk) => string
  /** What another server publishes from now on; the key above for an hour, if not given. */
  readonly publish: (server: string, published?: Partial<Published>) => Promise<void>
  /** `server path` of everything that we asked other servers. */
  readonly seen: () => readonly string[]
}

/** Starts the repository with that server's machine in reach. Needs `describeWith('openssl', …)`. */
export async function startAskedByServers(
  options: AppOptions & { readonly key?: SigningKey } = {},
): Promise<AskedByServers> {
  await using cleanup = new AsyncDisposableStack()
  const { key = newKey('asker') } = options
  const internet = cleanup.use(await startSmallInternet())
  const network = { lookup: internet.lookup, dial: internet.dial, authorities: [internet.authority.certificate] }
  const app = cleanup.use(await startApp({ ...options, network }))
  let machines = 0
  const publish = async (server: string, published: Partial<Published> = {}) => {
    const address = `203.0.113.${++machines}`
    const body = keyBody(server, { keys: [key], validUntil: Date.now() + HOUR_MS, ...published })
    internet.dns.set(server, { A: [address] })
    await internet.add(address, 8448, {
      certificate: [server],
      handler: (request, response) => {
        const isKeys = request.url === '/_matrix/key/v2/server'
        response.writeHead(isKeys ? 200 : 404).end(isKeys ? JSON.stringify(body) : '{}')
      },
    })
  }
  await publish(ASKER)
  const authorization = (path: string, asked: SignedAsk = {}) => {
    const { method = 'GET', origin = ASKER, destination = 'example.org', key: signedWith = key } = asked
    return signRequest({ method, uri: `${PREFIX}/${path}`, origin, destination }, signedWith)
  }
  const ask = async (path: string, asked: SignedAsk = {}) => {
    const headers = { authorization: authorization(path, asked), ...asked.headers }
    return await app.ask(`${PREFIX}/${path}`, { ...asked, headers })
  }
  const owned = cleanup.move()
  return {
    app,
    key,
    ask,
    authorization,
    publish,
    seen: () => internet.requests.map(({ host, path }) => `${host} ${path}`),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
