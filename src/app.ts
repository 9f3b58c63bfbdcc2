import { randomBytes } from 'node:crypto'
import type { ConfigStore } from './config/store.ts'
import type { Notifier } from './coordination/notifier.ts'
import type { Snapshot } from './config/snapshot.ts'
import type { Redis } from './coordination/redis/redis.ts'
import { ObjectCache } from './datastores/cache.ts'
import { Datastores } from './datastores/datastores.ts'
import type { S3Patience } from './datastores/s3/bucket.ts'
import { type Database, isAlone, openDatabase } from './db/connect.ts'
import { findMmr } from './db/mmr/tables.ts'
import { startMetricsListener } from './http/metrics-listener.ts'
import { RequestLimits } from './http/request-limits.ts'
import { ServerLimits } from './http/server-limits.ts'
import { type HttpServer, startHttp } from './http/server.ts'
import { databaseChecked, homeserverChecked } from './lib/events.ts'
import { type Clock, systemClock } from './lib/clock.ts'
import type { Log } from './lib/log.ts'
import { type Metrics, openMetrics } from './lib/metrics.ts'
import { openReporter } from './lib/telemetry.ts'
import { VERSION } from './lib/version.ts'
import { type Federation, type FederationParts, openFederation } from './matrix/federation-door.ts'
import { FederationClient } from './matrix/federation.ts'
import { type Forgotten, type HomeserversParts, openHomeservers } from './matrix/homeserver.ts'
import type { OnAnswers } from './matrix/connections.ts'
import { newMediaId } from './matrix/ids.ts'
import { OwnKeys } from './matrix/keys/own-keys.ts'
import { RemoteKeys, type RemoteKeysParts } from './matrix/keys/remote-keys.ts'
import { requestKeysFrom } from './matrix/keys/request-keys.ts'
import { isSameServer } from './matrix/x-matrix.ts'
import { DatastoreSizes } from './media/choose.ts'
import { ownAddress } from './media/gates/shown-files.ts'
import { refuseEmptyDatastores } from './media/empty-datastores.ts'
import { refuseLostDatastores } from './media/lost-datastores.ts'
import { LostObjects } from './media/lost.ts'
import type { Bringing } from './media/mmr/bring.ts'
import { Reads } from './media/reads.ts'
import { onChanged, Records } from './media/records.ts'
import { RemoteMedia, type RemoteParts } from './media/remote.ts'
import { openGates } from './app/gates.ts'
import { startBackground } from './app/background.ts'
import { openMessages, useRedis } from './app/messages.ts'
import type { MmrParts } from './app/mmr.ts'
import { newToken, randomName } from './app/names.ts'
import { openThumbnails, THUMBNAIL_QUEUE, type ThumbnailQueue } from './app/thumbnails.ts'
import { datastoreParts } from './app/tools.ts'
import { configurePreviews, openPreviews } from './previews/open.ts'
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
  await refuseEmptyDatastores({ db }, datastores.all)
  const { redis, notifier } = await openMessages(parts, main, db, events)
  const onAnswers: OnAnswers = (line, problem) => homeserverChecked(events, { ...line, problem })
  const homeservers = parts.use(openSharingHomeservers({ notifier, log, clock, onAnswers }))

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
  const gates = await openGates(parts, config, { ...thumbnails, events, clock })
  const datastoreSizes = new DatastoreSizes({ db, clock })
  const storing = { db, datastores, datastoreSizes, notifier, clock, events, log, gates: gates.gates }
  const remote = parts.use(openRemote(config, { ...storing, redis, federation, ...keys }))
  parts.defer(
    config.onChange((next) => {
      configureMetrics(metrics, next)
      homeservers.keepOnly(next.homeservers.map(({ name }) => name))
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
      return await preparedDatastores(datastores, db, next)
    }),
  )
  const bringing = await takeOverFromMmr(config, { db, notifier, clock, events })
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
        bringing,
        ...thumbnails,
        ...previews,
        sniffBegin,
        newToken,
        ...gates,
        jobs,
        events,
        clock,
        log,
        serverLimits: new ServerLimits({ clock, events, byteBuckets: redis.buckets }),
        requestLimits: new RequestLimits({ clock, events, levels: redis.levels }),
        newBoundary: () => randomName(16),
        newMediaId: () => newMediaId(randomBytes),
      },
      { ...main.repo, ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }) },
    ),
  )
  gates.shownFiles.reachedAt(main.moderation.ownUrl || ownAddress(http))
  const all = parts.move()
  return { http, [Symbol.asyncDispose]: () => all.disposeAsync() }
}

/** Where MMR's tables are in our database; other servers do not load what it takes. */
async function takeOverFromMmr(
  config: ConfigStore,
  parts: Omit<MmrParts, 'config'> & { readonly db: Database },
): Promise<Bringing | undefined> {
  if (isAlone(parts.db) || !(await findMmr(parts.db.read))) return undefined
  const { takeOverHere } = await import('./app/mmr.ts')
  return await takeOverHere({ ...parts, config: () => config.current() })
}

/** The homeservers; what one instance is told to forget, all forget. */
function openSharingHomeservers({ notifier, ...need }: Omit<HomeserversParts, 'onForgotten'> & { notifier: Notifier }) {
  const onForgotten = (forgotten: Forgotten) => notifier.notify('forgotten', JSON.stringify(forgotten))
  const homeservers = openHomeservers({ ...need, onForgotten })
  notifier.on('forgotten', (message) => homeservers.forget(JSON.parse(message) as Forgotten))
  notifier.on('missed', () => homeservers.forgetAll())
  return homeservers
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
  'db' | 'datastores' | 'datastoreSizes' | 'notifier' | 'clock' | 'events' | 'log' | 'gates'
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

/** Whether a datastore is gone: only then there is something to ask the database, which may be down just now. */
function lacksSome(next: Snapshot['datastores'], previous: Snapshot['datastores']): boolean {
  const ids = new Set(next.map(({ id }) => id))
  return previous.some(({ id }) => !ids.has(id))
}

/** The datastores of another configuration, ready to be used: those that are new have what they should have. */
async function preparedDatastores(datastores: Datastores, db: Database, next: Snapshot) {
  const prepared = await datastores.prepare(next.datastores)
  try {
    await refuseEmptyDatastores({ db }, prepared.opened)
    return prepared
  } catch (error) {
    await prepared.discard()
    throw error
  }
}

function configureMetrics(metrics: Metrics, { homeservers }: Snapshot): void {
  const sizes = homeservers.flatMap((homeserver) => homeserver.thumbnails.sizes)
  metrics.configure({ homeservers: homeservers.map((homeserver) => homeserver.name), sizes })
}
