/** A server whose files a proxy in front of it sends, and what it answered before the proxy did. */
import { createHash } from 'node:crypto'
import { chmod, mkdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ALICE, type Answered, eventually, startApp, type TestApp } from './app.ts'
import { temporaryFolder } from './folder.ts'
import type { PlainProxy, ProxyOptions } from './plain-proxy.ts'
import type { Service } from './services.ts'

export interface Proxy {
  readonly needs: readonly Service[]
  /** The datastore's `offload`. */
  readonly option: string
  /** The header with which the proxy is told, in small letters. */
  readonly header: string
  /** Headers that it cannot be kept from adding. */
  readonly adds?: readonly string[]
  readonly start: (options: ProxyOptions) => Promise<PlainProxy>
}

export interface Asking {
  readonly method?: 'GET' | 'HEAD'
  /** `ETAG` stands for the file's own. */
  readonly headers?: Readonly<Record<string, string>>
  /** `legacy` and `unknown` are the older path and one of no file; anything else is taken as it is. */
  readonly path?: string
  readonly token?: 'none'
}

export interface Seen {
  readonly status: number
  /** Without what differs from one answer to the next. */
  readonly headers: Readonly<Record<string, unknown>>
  /** Bytes of the body, and what they are. */
  readonly size: number
  readonly sha256: string
}

export interface Offloading extends AsyncDisposable {
  readonly app: TestApp
  /** Asks the proxy for `example.org/MEDIA_ID`. */
  readonly ask: (media: string | undefined, asking?: Asking) => Promise<Seen>
  /** Asks us, past the proxy. */
  readonly direct: (media: string | undefined) => Promise<Answered>
  /** Asks the proxy, and keeps the answer under this title. */
  readonly remember: (title: string, media: string | undefined, asking?: Asking) => Promise<void>
  readonly remembered: (title: string) => Seen | undefined
  /** From now on the proxy sends; `media` is some larger file that shows it. */
  readonly offload: (media: string | undefined) => Promise<void>
  /** Gives the file of some media another place, as files that were taken over may have. */
  readonly move: (media: string, location: string) => Promise<void>
  /** Deletes the file of some media behind our back. */
  readonly lose: (media: string) => Promise<void>
}

const CLIENT = '/_matrix/client/v1/media/download'
const CHANGING = ['date', 'connection', 'keep-alive', 'server']

/** Starts both, with a folder of media that the proxy reads by its group; offload is still off. */
export async function openOffloading(kind: Proxy): Promise<Offloading> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  await chmod(folder, 0o750)
  const mediaFolder = join(folder, 'the media')
  const config = (offload: string) => ({
    // What a cache has in memory is not offloaded.
    downloads: { cache: { enabled: false } },
    datastores: [{ type: 'file', id: 'main', forKinds: ['all'], opts: { path: mediaFolder, offload } }],
  })
  const app = cleanup.use(await startApp({ folder, config: config('') }))
  const ports = { cellariumPort: app.port, homeserverPort: app.port }
  const proxy = cleanup.use(await kind.start({ ...ports, serverName: 'example.org', mediaFolder }))
  const direct = (media = '') => app.ask(`${CLIENT}/${media}`, { token: ALICE.token })
  const ask = (media = '', asking: Asking = {}) => send({ proxy, app, kind }, media, asking)
  const before = new Map<string, Seen>()
  const owned = cleanup.move()
  return {
    app,
    ask,
    direct,
    remember: async (title, media, asking) => void before.set(title, await ask(media, asking)),
    remembered: (title) => before.get(title),
    offload: async (media) => {
      await app.reload(config(kind.option))
      await eventually(async () => kind.header in (await direct(media)).headers)
    },
    move: async (media, location) => {
      const before = locationOf(app, media)
      await mkdir(join(mediaFolder, dirname(location)), { recursive: true, mode: 0o750 })
      await rename(join(mediaFolder, before), join(mediaFolder, location))
      app.sql('UPDATE objects SET location = ? WHERE location = ?', location, before)
    },
    lose: (media) => rm(join(mediaFolder, locationOf(app, media))),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

interface Parts {
  readonly proxy: PlainProxy
  readonly app: TestApp
  readonly kind: Proxy
}

async function send({ proxy, app, kind }: Parts, media: string, asking: Asking): Promise<Seen> {
  const { method = 'GET', token } = asking
  const etag = `"${String(app.sql('SELECT sha256 FROM media WHERE media_id = ?', idOf(media))[0]?.['sha256'])}"`
  const given = Object.entries(asking.headers ?? {}).map(([name, value]) => [name, value === 'ETAG' ? etag : value])
  const answer = await proxy.agent.request({
    origin: proxy.url,
    path: pathOf(media, asking.path),
    method,
    headers: { ...(token ? {} : { authorization: `Bearer ${ALICE.token}` }), ...Object.fromEntries(given) },
  })
  const ignored = [...CHANGING, ...(kind.adds ?? [])]
  const headers = Object.fromEntries(Object.entries(answer.headers).filter(([name]) => !ignored.includes(name)))
  // Another one each time, but always one.
  if (headers['x-request-id']) headers['x-request-id'] = 'an id'
  const body = Buffer.from(await answer.body.arrayBuffer())
  const sha256 = createHash('sha256').update(body).digest('hex')
  return { status: answer.statusCode, headers, size: body.length, sha256 }
}

function pathOf(media: string, path: string | undefined): string {
  if (path === undefined) return `${CLIENT}/${media}`
  if (path === 'legacy') return `/_matrix/media/v3/download/${media}`
  return path === 'unknown' ? `${CLIENT}/example.org/unknown` : encodeURI(path)
}

function locationOf(app: TestApp, media: string): string {
  const [row] = app.sql(
    'SELECT location FROM objects JOIN media ON media.sha256 = objects.sha256 WHERE media_id = ?',
    idOf(media),
  )
  return String(row?.['location'])
}

function idOf(media: string): string {
  return media.slice(media.indexOf('/') + 1)
}
