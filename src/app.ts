import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ConfigStore } from './config/store.ts'
import type { MainConfig } from './config/schema.ts'
import type { Snapshot } from './config/snapshot.ts'
import { LocalNotifier, type Notifier } from './coordination/notifier.ts'
import { Redis } from './coordination/redis/redis.ts'
import { SharedNotifier } from './coordination/shared-notifier.ts'
import { ObjectCache } from './datastores/cache.ts'
import { type DatastoresParts, Datastores } from './datastores/datastores.ts'
import type { S3Patience } from './datastores/s3/bucket.ts'
import { type Database, openDatabase } from './db/connect.ts'
import type { DescriptionRecord } from './db/descriptions.ts'
import { repositoryId } from './db/repository.ts'
import { startMetricsListener } from './http/metrics-listener.ts'
import { ServerLimits } from './http/server-limits.ts'
import { type HttpServer, startHttp } from './http/server.ts'
import { databaseChecked, datastoreChecked, type EventParts, s3Called } from './lib/events.ts'
import { type Clock, steadyClock, systemClock } from './lib/clock.ts'
import type { Log } from './lib/log.ts'
import { thisMachine } from './lib/machine.ts'
import { type Metrics, openMetrics } from './lib/metrics.ts'
import { SharedWork } from './lib/shared-work.ts'
import { openReporter } from './lib/telemetry.ts'
import { VERSION } from './lib/version.ts'
import { type Federation, type FederationParts, openFederation } from './matrix/federation-door.ts'
import { FederationClient } from './matrix/federation.ts'
import { type Forgotten, openHomeservers } from './matrix/homeserver.ts'
import { newMediaId } from './matrix/ids.ts'
import { OwnKeys } from './matrix/keys/own-keys.ts'
import { RemoteKeys, type RemoteKeysParts } from './matrix/keys/remote-keys.ts'
import { requestKeysFrom } from './matrix/keys/request-keys.ts'
import { isSameServer } from './matrix/x-matrix.ts'
import type { BulkRequestParts } from './media/bulk-request.ts'
import { DatastoreSizes } from './media/choose.ts'
import { refuseLostDatastores } from './media/lost-datastores.ts'
import { LostObjects } from './media/lost.ts'
import { Reads } from './media/reads.ts'
import { onChanged, Records } from './media/records.ts'
import { RemoteMedia, type RemoteParts } from './media/remote.ts'
import { configurePreviews, openPreviews } from './previews/open.ts'
import { allJobs } from './tasks/all-jobs.ts'
import { bulkKinds } from './tasks/bulk.ts'
import { startStagingSweep } from './tasks/care.ts'
import type { TaskKind } from './tasks/run-task.ts'
import { TaskRunner } from './tasks/runner.ts'
import { type Job, startSchedule } from './tasks/schedule.ts'
import { transferKind, type TransferTaskParts } from './tasks/transfer.ts'
import { type MakingOptions, type MakingParts, ThumbnailMaking } from './thumbnails/once.ts'
import { Placeholders } from './thumbnails/placeholders.ts'
import { openThumbnailPool } from './thumbnails/pool.ts'
import { workerCount } from './thumbnails/worker-count.ts'
import { PreGeneration } from './thumbnails/pre-generate.ts'
import { lookForPrograms } from './thumbnails/programs.ts'
import { sniffBegin } from './thumbnails/sniff.ts'

/** A running server. Disposing it ends everything, in the reverse order of how it was begun. */
export interface App extends AsyncDisposable {
  readonly http: HttpServer
}

export interface AppOptions {
  /** The system's, if not given. */
  readonly clock?: Clock
  /** How long a connection may stand still, in ms; five minutes if not given. */
  readonly idleTimeoutMs?: number
  /** The process's; none, if not given. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** For tests: network, DNS and authorities other than the real ones. */
  readonly network?: Pick<FederationParts, 'dial' | 'lookup' | 'authorities'>
  /** How long to wait for S3; as long as is usual, if not given. */
  readonly s3Patience?: S3Patience
  /** Which thumbnails have to wait, and for how long; what is usual, if not given. */
  readonly thumbnailQueue?: ThumbnailQueue
}

/** How many thumbnails may wait, and for how long, in ms. */
export type ThumbnailQueue = Pick<MakingOptions, 'waiting' | 'longestWaitMs'>

const THUMBNAIL_TIMEOUT_MS = 30_000
/** With the time that decoding may take, a wait stays within the minute after which proxies give up. */
const THUMBNAIL_QUEUE: ThumbnailQueue = { waiting: 500, longestWaitMs: 25_000 }
/** A third of what the server gets where both want all of a core (decision 032). */
const DECODERS_NICENESS = 5
/** While one is decoded, the next one's source is fetched and the last one is stored. */
const THUMBNAILS_PER_WORKER = 4
/** Of the ten seconds that Docker waits. */
const LAST_CALLS_MS = 2000

/** Builds every part once, from top to bottom, and starts to answer requests. The only place that knows every part. */
export async function openApp(config: ConfigStore, log: Log, options: AppOptions = {}): Promise<App> {
  const { main } = config.current()
  const { clock = systemClock, environment = {}, idleTimeoutMs, network, s3Patience } = options
  const { thumbnailQueue = THUMBNAIL_QUEUE } = options
  await using parts = new AsyncDisposableStack()

  const reporter = parts.use(await openReporter(main.sentry, { version: VERSION, log }))
  const metrics = openMetrics({ version: VERSION })
  const events = { log, metrics, reporter }

  const onAvailability = (problem: unknown) => databaseChecked(events, { problem })
  const db = parts.use(await openDatabase(main.database, 'server', log, { onAvailability }))
  databaseChecked(events, {})
  await refuseLostDatastores({ db }, config.current().datastores)
  const datastores = parts.use(
    new Datastores({ ...datastoreParts(main, clock, events), ...(s3Patience ? { patience: s3Patience } : {}) }),
  )
  await datastores.configure(config.current().datastores)
  const { redis, notifier } = await openMessages(parts, main, db, events)
  const homeservers = parts.use(
    openHomeservers({
      log,
      clock,
      onForgotten: (forgotten) => notifier.notify('forgotten', JSON.stringify(forgotten)),
    }),
  )
  notifier.on('forgotten', (message) => homeservers.forget(JSON.parse(message) as Forgotten))
  notifier.on('missed', () => homeservers.forgetAll())

  const lost = parts.use(new LostObjects({ db, datastores, clock, events }))
  const cache = new ObjectCache({ datastores, levels: [redis.objects], metrics, clock }, main.downloads.cache)
  onChanged(notifier, (changed) => cache.drop(changed.kind === 'all' ? 'all' : changed.sha256s))

  const outside = { events, clock, random: Math.random, environment, ...network }
  const federation = parts.use(openFederation({ ...outside, options: main.federation }))

  const reads = parts.use(new Reads({ db, notifier, clock, log }))
  const making = { db, notifier, newToken, log, queue: thumbnailQueue, path: environment['PATH'] ?? '' }
  const thumbnails = await openThumbnails(parts, config, making)

  const previews = openPreviews({ ...outside, db, notifier }, main.urlPreviews)
  parts.use(previews.previewDoors)

  const jobs = startBackground(parts, config, { db, datastores, notifier, clock, events, log })
  // Requests have ended by then. What the background is at may end well in a moment; S3 that is away must not hold it up.
  parts.defer(() => void setTimeout(() => datastores.abort(), LAST_CALLS_MS).unref())

  configureMetrics(metrics, config.current())
  const keys = await openKeys(parts, config, { federation, clock, events })
  const datastoreSizes = new DatastoreSizes({ db, clock })
  const storing = { db, datastores, datastoreSizes, notifier, clock, events, log }
  const remote = parts.use(openRemote(config, { ...storing, redis, federation, ...keys }))
  parts.defer(
    config.onChange((next) => {
      configureMetrics(metrics, next)
      federation.configure(next.main.federation)
      configurePreviews(previews, next.homeservers)
      remote.forgetFailures()
      cache.configure(next.main.downloads.cache)
      redis
        .configure(next.main.redis)
        .then(() => useRedis(notifier, redis))
        .catch((error: unknown) => log.error({ err: error }, 'the changed Redis servers cannot be used'))
    }),
  )
  parts.defer(
    config.beforeChange(async (next, previous) => {
      if (lacksSome(next.datastores, previous.datastores)) await refuseLostDatastores({ db }, next.datastores)
      return await datastores.prepare(next.datastores)
    }),
  )
  if (main.metrics.enabled) parts.use(await startMetricsListener(main.metrics, metrics))

  const http = parts.use(
    await startHttp(
      {
        config: () => config.current(),
        db,
        datastores,
        datastoreSizes,
        cache,
        isCached: (object) => cache.has(object),
        notifier,
        homeservers,
        federation,
        ...keys,
        remote,
        lost,
        reads,
        records: new Records({ db, notifier }),
        ...thumbnails,
        ...previews,
        sniffBegin,
        newToken,
        events,
        jobs,
        clock,
        log,
        serverLimits: new ServerLimits({ clock, events, byteBuckets: redis.buckets }),
        newBoundary: () => randomName(16),
        newMediaId: () => newMediaId(randomBytes),
      },
      { ...main.repo, ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }) },
    ),
  )
  const all = parts.move()
  return { http, [Symbol.asyncDispose]: () => all.disposeAsync() }
}

interface BackgroundParts extends TransferTaskParts {
  readonly db: Database
  readonly datastores: Datastores
  readonly notifier: Notifier
  readonly clock: Clock
  readonly events: EventParts
  readonly log: Log
}

/** What happens without a request: jobs (which it gives), tasks, sweeps. */
function startBackground(parts: AsyncDisposableStack, config: ConfigStore, of: BackgroundParts): readonly Job[] {
  const { main } = config.current()
  const leased = { ...of, newToken }
  const jobs = allJobs(of, () => config.current().main)
  parts.use(startSchedule({ ...leased, random: Math.random }, jobs))
  parts.use(startStagingSweep(of))
  parts.use(new TaskRunner(leased, taskKinds(of), { atATime: main.tasks.numWorkers }))
  return jobs
}

interface ThumbnailsNeed extends MakingParts {
  readonly queue: ThumbnailQueue
  /** The folders in which to look for programs, as in `PATH`. */
  readonly path: string
}

/** What makes thumbnails. The start does not wait for the search for programs; the first thumbnail does. */
async function openThumbnails(parts: AsyncDisposableStack, config: ConfigStore, need: ThumbnailsNeed) {
  const { log, queue, path } = need
  const { main, homeservers } = config.current()
  const types = homeservers.flatMap(({ thumbnails }) => thumbnails.types)
  const programs = parts.use(lookForPrograms(path, types, log))
  const workers = workerCount(main.thumbnails.numWorkers, thisMachine())
  const thumbnailPool = openThumbnailPool({
    workers,
    jobTimeoutMs: THUMBNAIL_TIMEOUT_MS,
    queueLimit: queue.waiting,
    longestWaitMs: queue.longestWaitMs,
    niceness: DECODERS_NICENESS,
    programs: programs.found,
    log,
  })
  parts.defer(() => thumbnailPool.close())
  const scratch = await mkdtemp(join(tmpdir(), 'cellarium-'))
  parts.defer(() => rm(scratch, { recursive: true, force: true }))
  return {
    thumbnailPool,
    scratch,
    thumbnailMaking: new ThumbnailMaking(need, { atATime: workers * THUMBNAILS_PER_WORKER, ...queue }),
    descriptionsUnderWay: new SharedWork<DescriptionRecord>(),
    placeholders: new Placeholders({ thumbnailPool, scratch, log }),
    preGeneration: parts.use(new PreGeneration()),
  }
}

interface KeysNeed extends Pick<RemoteKeysParts, 'clock' | 'events'> {
  readonly federation: Pick<Federation, 'origins'>
}

/** The keys with which our homeservers sign, and those of other servers. */
async function openKeys(
  parts: AsyncDisposableStack,
  config: ConfigStore,
  { federation, clock, events }: KeysNeed,
): Promise<{ readonly ownKeys: OwnKeys; readonly remoteKeys: RemoteKeys }> {
  const ownKeys = parts.use(new OwnKeys({ events }))
  await ownKeys.configure(config.current().homeservers)
  parts.defer(config.onChange((next) => void ownKeys.configure(next.homeservers)))
  const notaries = () => config.current().main.federation.notaries
  const request = requestKeysFrom(federation.origins)
  return { ownKeys, remoteKeys: parts.use(new RemoteKeys({ request, notaries, clock, events })) }
}

interface RemoteNeed extends Pick<
  RemoteParts,
  'db' | 'datastores' | 'datastoreSizes' | 'notifier' | 'clock' | 'events' | 'log'
> {
  readonly redis: Redis
  readonly federation: Federation
  readonly ownKeys: OwnKeys
}

/** What fetches files of other servers. */
function openRemote(config: ConfigStore, { redis, federation, ownKeys, ...storing }: RemoteNeed): RemoteMedia {
  const isOurs = (name: string) =>
    config.current().homeservers.some((homeserver) => isSameServer(homeserver.name, name))
  const keyOf = (homeserver: string) => ownKeys.keyOf(homeserver)
  const federationClient = new FederationClient({ clock: storing.clock, federation, keyOf, isOurs })
  const shared = { remoteFiles: redis.remoteFiles, byteBuckets: redis.buckets }
  const own = { config: () => config.current(), federationClient, isOurs, newToken }
  const { numWorkers: workers } = config.current().main.downloads
  return new RemoteMedia({ ...storing, ...shared, ...own }, { workers })
}

/** What command-line tools work with, beside a running server or without one. */
export interface Tools extends AsyncDisposable {
  readonly main: MainConfig
  readonly db: Database
  readonly datastores: Datastores
  readonly notifier: Notifier
  readonly events: EventParts
  readonly clock: Clock
  readonly log: Log
  readonly newToken: () => string
  /** The tasks that a tool can work on itself, where no server does. */
  readonly kinds: readonly TaskKind[]
}

/** Builds what tools need of the parts, from a configuration that is read once. */
export async function openTools({ main, datastores: configs }: Snapshot, log: Log): Promise<Tools> {
  await using parts = new AsyncDisposableStack()
  const reporter = parts.use(await openReporter({ ...main.sentry, enabled: false }, { version: VERSION, log }))
  const events = { log, metrics: openMetrics({ version: VERSION }), reporter }
  const db = parts.use(await openDatabase(main.database, 'tool', log))
  await refuseLostDatastores({ db }, configs)
  const datastores = parts.use(new Datastores(datastoreParts(main, systemClock, events)))
  await datastores.configure(configs)
  const { notifier } = await openMessages(parts, main, db, events)
  const kinds = taskKinds({ db, datastores, notifier, events, clock: systemClock })
  const all = parts.move()
  const dispose = { [Symbol.asyncDispose]: () => all.disposeAsync() }
  return { main, db, datastores, notifier, events, clock: systemClock, log, newToken, kinds, ...dispose }
}

function datastoreParts({ repo }: MainConfig, clock: Clock, events: EventParts): DatastoresParts {
  return {
    now: () => clock.now(),
    random: Math.random,
    newName: () => randomName(6),
    newKey: () => randomName(20),
    stagingFolder: join(repo.dataPath, 'staging'),
    log: events.log,
    called: (operation) => s3Called(events, operation),
    onAvailability: (datastore, problem) => datastoreChecked(events, { datastore, problem }),
  }
}

/** Everything that a task can be: a new kind is one file and one line here. */
function taskKinds(parts: TransferTaskParts & BulkRequestParts): readonly TaskKind[] {
  return [transferKind(parts), ...bulkKinds(parts)]
}

/** How instances tell each other things; what is opened for it goes to `parts`. */
async function openMessages(
  parts: AsyncDisposableStack,
  main: MainConfig,
  db: Pick<Database, 'write'>,
  events: EventParts,
): Promise<{ readonly redis: Redis; readonly notifier: Notifier }> {
  const repository = await db.write(repositoryId, { candidate: randomName(12) })
  const redis = parts.use(new Redis(main.redis, { ...events, repository }))
  await redis.configure(main.redis)
  const notifier = parts.use(await openNotifier(main, events.log))
  await useRedis(notifier, redis)
  return { redis, notifier }
}

async function openNotifier(main: MainConfig, log: Log): Promise<Notifier> {
  if (!main.database.postgres) return new LocalNotifier({ log })
  const { PostgresTransport, parseDsn } = await postgresClient()
  const database = new PostgresTransport(parseDsn(main.database.postgres), { log })
  const notifier = new SharedNotifier(database, { instance: randomName(12), clock: steadyClock(), log })
  await notifier.start()
  return notifier
}

/** Loaded by those who use PostgreSQL: idle servers on SQLite are to stay small. */
async function postgresClient() {
  return { ...(await import('./coordination/postgres-transport.ts')), ...(await import('./db/dsn.ts')) }
}

/** Messages go over Redis too. On SQLite there are no other instances to tell. */
async function useRedis(notifier: Notifier, redis: Redis): Promise<void> {
  if (notifier instanceof SharedNotifier) await notifier.useAlso(redis.transports)
}

/** Whether a datastore is gone: only then there is something to ask the database, which may be down just now. */
function lacksSome(next: Snapshot['datastores'], previous: Snapshot['datastores']): boolean {
  const ids = new Set(next.map(({ id }) => id))
  return previous.some(({ id }) => !ids.has(id))
}

function configureMetrics(metrics: Metrics, { homeservers }: Snapshot): void {
  const sizes = homeservers.flatMap((homeserver) => homeserver.thumbnails.sizes)
  metrics.configure({ homeservers: homeservers.map((homeserver) => homeserver.name), sizes })
}

const newToken = () => randomName(16)

function randomName(bytes: number): string {
  return randomBytes(bytes).toString('hex')
}
