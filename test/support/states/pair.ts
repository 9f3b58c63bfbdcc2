/** Two instances on one database, and everything around them that moderation has to do with. */
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { request } from 'undici'
import { openTools, type Tools } from '../../../src/app/tools.ts'
import { openConfigStore } from '../../../src/config/store.ts'
import { signRequest } from '../../../src/matrix/x-matrix.ts'
import { ALICE, BOB, heldClock, type HeldClock, startApp, type TestApp } from '../app.ts'
import { temporaryFolder } from '../folder.ts'
import { recordingLog } from '../log.ts'
import { keyBody, newKey } from '../key-servers.ts'
import { startRedis } from '../redis.ts'
import { asking, type RemoteServer, startRemoteServer } from '../remote.ts'
import { freshDatabase } from '../services.ts'
import { startVersitygw } from '../versitygw.ts'
import { LOOPBACK_ALLOWED, startWebSite, type WebSite } from '../web-site.ts'

/** Administers the repository, and its homeserver: only the latter lists rooms. */
export const ADMIN = { token: 'syt_admin_Rv6p', userId: '@admin:example.org', admin: true }
/** Administers the homeserver. */
export const LOCAL_ADMIN = { token: 'syt_local_Nw3e', userId: '@local:example.org', admin: true }
const YEAR_MS = 365 * 86_400_000

/** A request to one instance. */
export interface Request {
  readonly path: string
  readonly method?: string
  readonly token?: string | undefined
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer | string
}

export interface Told {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Buffer
}

export interface Instance {
  readonly name: string
  readonly app: TestApp
  readonly ask: (asked: Request) => Promise<Told>
  /** Sends a request, and leaves without its answer after `meanwhile`. */
  readonly askAndLeave: (asked: Request, meanwhile: () => Promise<void>) => Promise<void>
}

export interface Pair extends AsyncDisposable {
  readonly instances: readonly [Instance, Instance]
  /** Whether clients are sent to a bucket. */
  readonly redirects: boolean
  readonly remote: RemoteServer
  readonly site: WebSite
  /** The time of day of both. */
  readonly clock: HeldClock
  /** Where files lie, if in a folder. */
  readonly mediaFolder: string
  readonly addUser: (user: { readonly token: string; readonly userId: string }) => void
  readonly addRoom: (
    roomId: string,
    media: { readonly local: readonly string[]; readonly remote: readonly string[] },
  ) => void
  readonly query: (statement: string, values?: readonly unknown[]) => Promise<Record<string, unknown>[]>
  /** A connection of its own, for what is held for a while. */
  readonly connect: () => Promise<pg.Client & AsyncDisposable>
  /** What a program has that works beside them; opened once. */
  readonly tools: () => Promise<Tools>
  /** Gives both this configuration, beside what they have in common. */
  readonly reload: (changes?: Settings) => Promise<void>
  /** The `Authorization` of the remote server, as it asks for `uri`. */
  readonly signature: (uri: string) => string
  readonly judge: Judge
  readonly lists: Readonly<Record<ListName, string>>
}

export type Settings = Readonly<Record<string, unknown>>
export type ListName = 'reject' | 'quarantine' | 'pictures'

export interface PairOptions {
  /** Messages, small objects and limits also go over a Redis. */
  readonly redis?: boolean
  /** Files are in a bucket, and clients are sent there. */
  readonly bucket?: boolean
  /** Every file is judged: by lists, `clamd` at this address, and a hook. */
  readonly gates?: { readonly clamd: string }
}

/** Needs `describeWith(['postgres', 'openssl'], …)`, and what the options ask for. */
export async function startPair(options: PairOptions = {}): Promise<Pair> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder())
  const { url } = cleanup.use(await freshDatabase())
  const remote = cleanup.use(await startRemoteServer())
  const site = cleanup.use(await startWebSite())
  const judge = cleanup.use(await startJudge())
  const redis = options.redis ? cleanup.use(await startRedis()) : undefined
  const bucket = options.bucket ? cleanup.use(await startVersitygw()) : undefined
  const lists = await emptyLists(folder.path)
  const mediaFolder = join(folder.path, 'media')
  const { homeserver, federation } = await asking(folder.path)
  const datastore = bucket
    ? { type: 's3', opts: { ...bucket.options, presign: 'true' } }
    : { type: 'file', opts: { path: mediaFolder } }
  const common = {
    admins: [ADMIN.userId],
    repo: { freezeUnauthenticatedMedia: false },
    database: { postgres: url },
    datastores: [{ id: 'shared', forKinds: ['all'], ...datastore }],
    federation,
    urlPreviews: LOOPBACK_ALLOWED,
    quarantine: { replaceThumbnails: false },
    accessTokens: { maxCacheTimeSeconds: 43_200 },
    uploads: { maxPending: 0 },
    ...(redis ? { redis: { enabled: true, shards: [{ name: 'only', addr: redis.addr }] } } : {}),
    // What is in memory is sent from there, not redirected.
    ...(bucket ? { downloads: { cache: { enabled: false } } } : {}),
    ...(options.gates ? { moderation: gatesOf(lists, judge, options.gates.clamd) } : {}),
  }
  const clock = heldClock()
  const start = async (name: string): Promise<Instance> => {
    const network = { authorities: [remote.authority.certificate] }
    const app = cleanup.use(
      await startApp({ folder: join(folder.path, name), homeserver, config: common, clock, network }),
    )
    for (const user of [ADMIN, LOCAL_ADMIN]) app.homeserver.addUser(user)
    return { name, app, ask: (asked) => ask(app, asked), askAndLeave: (...how) => askAndLeave(app, ...how) }
  }
  // One after the other: both make the tables.
  const instances = [await start('a'), await start('b')] as const
  const key = newKey('remote')
  remote.publish(keyBody(remote.name, { keys: [key], validUntil: Date.now() + YEAR_MS }))
  const connect = async () => {
    const client = new pg.Client({ connectionString: url, options: '-c search_path=cellarium' })
    await client.connect()
    return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() })
  }
  const client = cleanup.use(await connect())
  const owned = cleanup.move()
  let opening: Promise<Tools> | undefined
  const tools = async () => owned.use(await openToolsBeside(join(folder.path, 'a', 'config')))
  return {
    instances,
    redirects: bucket !== undefined,
    remote,
    site,
    clock,
    mediaFolder,
    judge,
    lists,
    connect,
    tools: () => (opening ??= tools()),
    addUser: (user) => instances.forEach(({ app }) => app.homeserver.addUser(user)),
    addRoom: (roomId, media) => instances.forEach(({ app }) => app.homeserver.addRoom(roomId, media)),
    query: async (statement, values = []) => (await client.query(statement, [...values])).rows,
    reload: async (changes = {}) => {
      await Promise.all(instances.map(({ app }) => app.reload({ ...common, ...changes })))
    },
    signature: (uri) => signRequest({ method: 'GET', uri, origin: remote.name, destination: 'example.org' }, key),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function openToolsBeside(path: string): Promise<Tools> {
  const { log } = recordingLog()
  await using store = await openConfigStore({ path }, { log })
  return await openTools(store.current(), log)
}

async function askAndLeave(app: TestApp, asked: Request, meanwhile: () => Promise<void>): Promise<void> {
  const leaving = new AbortController()
  const asking = ask(app, asked, leaving.signal).catch((error: unknown) => error)
  await meanwhile()
  leaving.abort()
  await asking
  // The server is of this process: by then it has heard that the connection is closed.
  await pause(500)
}

async function ask(
  { url }: TestApp,
  { path, method = 'GET', token, headers, body }: Request,
  signal?: AbortSignal,
): Promise<Told> {
  const answer = await request(`${url}${path}`, {
    method: method as 'GET',
    headers: { host: 'example.org', ...(token === undefined ? {} : { authorization: `Bearer ${token}` }), ...headers },
    ...(body === undefined ? {} : { body }),
    ...(signal ? { signal } : {}),
  })
  return { status: answer.statusCode, headers: answer.headers, body: Buffer.from(await answer.body.arrayBuffer()) }
}

async function emptyLists(folder: string): Promise<Readonly<Record<ListName, string>>> {
  const pathOf = (name: ListName) => join(folder, `${name}.txt`)
  const lists = { reject: pathOf('reject'), quarantine: pathOf('quarantine'), pictures: pathOf('pictures') }
  for (const path of Object.values(lists)) await writeFile(path, '# nothing yet\n')
  return lists
}

function gatesOf({ reject, quarantine, pictures }: Pair['lists'], judge: Judge, clamd: string) {
  const refreshSeconds = 1
  return {
    hashLists: [
      { source: reject, refreshSeconds },
      { source: quarantine, action: 'quarantine', refreshSeconds },
    ],
    perceptual: { lists: [{ source: pictures, refreshSeconds }], action: 'quarantine' },
    clamd: { address: clamd, action: 'quarantine' },
    hooks: [{ url: judge.url }],
  }
}

export const sha256 = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex')

/** A service that says of each content what a test has told it to, and lets all else through. */
export interface Judge extends AsyncDisposable {
  readonly url: string
  readonly verdicts: Map<string, 'allow' | 'report' | 'quarantine' | 'reject'>
}

async function startJudge(): Promise<Judge> {
  const verdicts: Judge['verdicts'] = new Map()
  const answer = async (asked: IncomingMessage, response: ServerResponse) => {
    const { sha256: hash } = (await json(asked)) as { readonly sha256: string }
    response.end(JSON.stringify({ verdict: verdicts.get(hash) ?? 'allow', reason: 'the test says so' }))
  }
  const server = createServer((asked, response) => void answer(asked, response))
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    verdicts,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => void server.close(resolve))
    },
  }
}

/** Who has nothing to do with what is moderated, and asks for it. */
export const READER = ALICE
/** Who sends the same bytes afterwards. */
export const SENDER = BOB
