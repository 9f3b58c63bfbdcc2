/**
 * What happens, one function each: its log line and its metrics together, so that neither is forgotten and the words for a
 * thing are the same everywhere. `parts.log` may be a request's child, whose fields then stand on the line as well.
 */

import { messagesOf } from './errors.ts'
import { type Log, logDirectly } from './log.ts'
import type { Metrics } from './metrics.ts'
import { redactUrl } from './redact.ts'
import type { ReportContext, Reporter } from './telemetry.ts'

export interface EventParts {
  readonly log: Log
  readonly metrics: Metrics
  readonly reporter: Reporter
}

export type LogAndMetrics = Pick<EventParts, 'log' | 'metrics'>

export interface RequestStart {
  /** The homeserver's configured name. */
  readonly host: string
  /** The route's name in the table of routes. */
  readonly action: string
  readonly method: string
}

export interface RequestEnd extends RequestStart, RequestLine {}

/** What the request's line says, whether or not it reached a route. */
export interface RequestLine {
  readonly method: string
  readonly host: string
  /** Path and query as they were sent. */
  readonly url: string
  readonly status: number
  readonly durationMs: number
  readonly requestId?: string | undefined
  readonly remoteAddr?: string | undefined
  readonly userAgent?: string | undefined
  readonly contentType?: string | undefined
  /** Bytes of the request's body as announced. */
  readonly contentLength?: number | undefined
}

/** A request reached a route of a known homeserver. */
export function requestStarted({ metrics }: Pick<EventParts, 'metrics'>, start: RequestStart): void {
  metrics.requests.of(metrics.labels.host.admit(start.host), start.action, start.method).add()
}

/** A request that `requestStarted` counted is answered (or its caller left). */
export function requestFinished({ log, metrics }: LogAndMetrics, end: RequestEnd): void {
  const host = metrics.labels.host.admit(end.host)
  metrics.responses.of(host, end.action, end.method, end.status).add()
  metrics.responseTime.of(host, end.action, end.method).observe(end.durationMs / 1000)
  logRequest(log, end)
}

/**
 * A request was answered before it reached a route: unknown path, wrong method, OPTIONS, over the rate limit. As with MMR it
 * is logged and not counted.
 */
export function requestTurnedAway({ log }: Pick<EventParts, 'log'>, line: RequestLine): void {
  logRequest(log, line)
}

/** A request named a host that no homeserver is configured for. */
export function unknownHost({ log, metrics }: LogAndMetrics, request: RequestStart): void {
  metrics.invalidRequests.of(request.action, request.method).add()
  log.warn(
    { host: request.host, action: request.action, method: request.method },
    'no homeserver is configured for this host: compare homeservers[].name with the Host header the proxy sends',
  )
}

export interface Upload {
  /** The homeserver uploaded to. */
  readonly host: string
  readonly mediaId: string
  readonly userId: string
  readonly bytes: number
  readonly contentType: string
  readonly durationMs: number
}

/** A file is stored and its row committed. */
export function uploaded({ log, metrics }: LogAndMetrics, upload: Upload): void {
  const host = metrics.labels.host.admit(upload.host)
  metrics.uploads.of(host).add()
  metrics.uploadedBytes.of(host).add(upload.bytes)
  log.info(upload, 'uploaded')
}

export interface Download {
  readonly origin: string
  readonly mediaId: string
  readonly bytes: number
  readonly durationMs: number
}

/** A file was fetched from the server it comes from. */
export function downloaded({ log, metrics }: LogAndMetrics, download: Download): void {
  metrics.downloads.of(metrics.labels.origin.admit(download.origin)).add()
  log.info(download, 'fetched from its origin')
}

/** A file could not be fetched; `reason` is one of few words. */
export function fetchFailed(
  { log, metrics }: LogAndMetrics,
  failed: { readonly origin: string; readonly mediaId: string; readonly reason: string },
  error: unknown,
): void {
  metrics.fetchFailures.of(failed.reason).add()
  log.info({ ...failed, why: messagesOf(error) }, 'could not be fetched from its origin')
}

/** A request got the failure of an earlier one, without its origin being asked. */
export function remoteFailureAnswered({ metrics }: Pick<EventParts, 'metrics'>): void {
  metrics.cacheHits.of('remote_failures').add()
}

export interface GeneratedThumbnail {
  readonly origin: string
  readonly mediaId: string
  /** Pixels asked for (after choosing among the configured sizes). */
  readonly width: number
  readonly height: number
  readonly method: string
  readonly animated: boolean
  readonly durationMs: number
}

/** A thumbnail was made, not found. */
export function thumbnailGenerated({ log, metrics }: LogAndMetrics, thumbnail: GeneratedThumbnail): void {
  const { labels } = metrics
  const width = labels.width.admit(String(thumbnail.width))
  const height = labels.height.admit(String(thumbnail.height))
  const animated = String(thumbnail.animated)
  metrics.thumbnails.of(width, height, thumbnail.method, animated, labels.origin.admit(thumbnail.origin)).add()
  log.info(thumbnail, 'thumbnail generated')
}

/** A file was asked for that is `ageMs` old. */
export function mediaAccessed({ metrics }: Pick<EventParts, 'metrics'>, { ageMs }: { readonly ageMs: number }): void {
  metrics.mediaAge.of().observe(Math.max(0, ageMs) / 1000)
}

export interface MadePreview {
  /** How it was found; `none`: the page says nothing. */
  readonly type: string
  readonly url: string
  readonly durationMs: number
}

/** A preview was made, not found. */
export function urlPreviewed({ log, metrics }: LogAndMetrics, { type, url, durationMs }: MadePreview): void {
  if (type !== 'none') metrics.urlPreviews.of(type).add()
  metrics.previews.of(type, type === 'none' ? 'empty' : 'made').add()
  log.info({ type, url: redactUrl(url), durationMs }, 'URL preview generated')
}

export interface Moderated {
  readonly mxc: string
  readonly sha256: string
  /** Names of the content that this concerned. */
  readonly names: number
  /** Who did it; undefined for a task. */
  readonly by: string | undefined
}

/** Some content is refused from now on. */
export function mediaQuarantined({ log, metrics }: LogAndMetrics, moderated: Moderated): void {
  metrics.quarantined.of().add(moderated.names)
  log.info(moderated, 'quarantined')
}

/** Some content is served again. */
export function mediaReleased({ log }: Pick<EventParts, 'log'>, moderated: Moderated): void {
  log.info(moderated, 'released from quarantine')
}

/** Some media are gone for good, with so many objects that nothing else used. */
export function mediaDeleted(
  { log, metrics }: LogAndMetrics,
  deleted: Omit<Moderated, 'names'> & { readonly objects: number },
): void {
  metrics.deleted.of().add()
  log.info(deleted, 'deleted')
}

export interface Administered {
  /** A user id, `@sharedsecret`, or `cli:` and the name of an account of the machine. */
  readonly by: string
  readonly address: string | null
  readonly requestId: string | null
  readonly action: string
  readonly subject: string
  /** How many media, tasks or whatever it is about. */
  readonly affected: number | null
  /** What went wrong; empty: nothing. */
  readonly error: string
}

/** Somebody did something that the audit log keeps. */
export function administered({ log, metrics }: LogAndMetrics, deed: Administered): void {
  metrics.administered.of(deed.action, deed.error === '' ? 'done' : 'failed').add()
  log.info(deed, 'audit')
}

export interface AdminRefusal {
  readonly by: string | undefined
  readonly address: string
  readonly requestId: string
  readonly action: string
  /** The path that was asked for. */
  readonly path: string
}

/** Somebody asked for what only administrators may do. The audit log keeps none of these: anybody could fill it. */
export function adminRefused({ log, metrics }: LogAndMetrics, refusal: AdminRefusal): void {
  metrics.adminRefused.of(refusal.action).add()
  log.warn(refusal, 'refused what only administrators may do')
}

export interface ManyModerated {
  readonly verb: 'purge' | 'quarantine' | 'release'
  /** Which media: a user, a server, a room, … */
  readonly subject: string
  readonly by: string
  readonly names: number
  /** Of deleted media. */
  readonly bytes: number
  /** Names that stayed as they were. */
  readonly kept: number
}

/** Many media were purged, quarantined or released, as far as this run of it came. */
export function manyModerated({ log, metrics }: LogAndMetrics, { verb, ...moderated }: ManyModerated): void {
  if (verb === 'quarantine') metrics.quarantined.of().add(moderated.names)
  if (verb === 'purge') metrics.deleted.of().add(moderated.names)
  log.info(moderated, MANY[verb])
}

const MANY = {
  purge: 'purged many media',
  quarantine: 'quarantined many media',
  release: 'released many media from quarantine',
} as const

/** `cache` is one of our own caches' names. */
export function cacheHit({ metrics }: Pick<EventParts, 'metrics'>, cache: string): void {
  metrics.cacheHits.of(cache).add()
}

export function cacheMissed({ metrics }: Pick<EventParts, 'metrics'>, cache: string): void {
  metrics.cacheMisses.of(cache).add()
}

export function cacheSized({ metrics }: Pick<EventParts, 'metrics'>, cache: string, bytes: number): void {
  metrics.cacheBytes.of(cache).set(bytes)
}

/** `operation` is S3's name of the call, such as `PutObject`. */
export function s3Called({ metrics }: Pick<EventParts, 'metrics'>, operation: string): void {
  metrics.s3Operations.of(operation).add()
}

/** A datastore was used or checked; says so in the log only when its state changes. */
export function datastoreChecked(
  parts: LogAndMetrics,
  { datastore, problem }: { readonly datastore: string; readonly problem?: unknown },
): void {
  const change = { which: { datastore }, what: 'the datastore', problem }
  checked(parts.log, parts.metrics.datastoreUp.of(datastore), change)
}

/** The database was used or checked; says so in the log only when its state changes. */
export function databaseChecked(parts: LogAndMetrics, { problem }: { readonly problem?: unknown }): void {
  checked(parts.log, parts.metrics.databaseUp.of(), { which: {}, what: 'the database', problem })
}

function checked(
  log: Log,
  gauge: { readonly state: number | undefined; set(value: number): void },
  { which, what, problem }: { readonly which: object; readonly what: string; readonly problem: unknown },
): void {
  const [before, now] = [gauge.state, problem === undefined ? 1 : 0]
  gauge.set(now)
  if (now === 0 && before !== 0) log.error({ ...which, err: problem }, `${what} cannot be used`)
  if (now === 1 && before === 0) log.info(which, `${what} can be used again`)
}

export interface RedisConnectionName {
  /** The server's configured name. */
  readonly shard: string
  readonly use: 'cache' | 'messages'
}

/** A connection to Redis stands. */
export function redisUp({ log, metrics }: LogAndMetrics, { shard, use }: RedisConnectionName): void {
  const gauge = metrics.redisUp.of(shard, use)
  if (gauge.state === 0) log.info({ shard, use }, 'the Redis server can be used again')
  gauge.set(1)
}

/**
 * A connection to Redis was lost, hangs, or cannot be had. Called once for each time that happens, and again when the reason
 * becomes another one, which is told but not counted.
 */
export function redisDown({ log, metrics }: LogAndMetrics, { shard, use }: RedisConnectionName, error: unknown): void {
  const gauge = metrics.redisUp.of(shard, use)
  if (gauge.state !== 0) metrics.redisFailures.of(shard, use).add()
  gauge.set(0)
  log.warn({ shard, use, err: error }, 'the Redis server cannot be used; requests go on without it')
}

/** Redis gave something else than was put there; it was not used. `what` is an object or a file of another server. */
export function redisWrong({ log, metrics }: LogAndMetrics, what: 'object' | 'remote file', key: string): void {
  metrics.redisWrong.of(what).add()
  log.warn({ key }, `Redis has a wrong ${what}; it was not used`)
}

/** A file of another server was left in Redis for other repositories, or taken from it instead of from its origin. */
export function remoteFileShared({ metrics }: Pick<EventParts, 'metrics'>, outcome: 'left' | 'taken'): void {
  metrics.sharedRemote.of(outcome).add()
}

/** A caller has had so much fetched from other servers that it has to wait; `bytes` is undefined where the size is not known. */
export function fetchLimited(
  { log, metrics }: LogAndMetrics,
  limited: { readonly payer: string; readonly bytes: number | undefined; readonly retryAfterMs: number },
): void {
  metrics.fetchesLimited.of().add()
  log.info(limited, 'a caller is over rateLimit.buckets.downloads')
}

export interface LimitedServer {
  /** What there was too much of. */
  readonly limit: 'requests' | 'bytes' | 'key look-ups'
  /** The server, or the address that claims to be many of them. */
  readonly who: string
  readonly retryAfterMs: number
}

/** Another homeserver asked for more of ours than it may. */
export function serverLimited({ log, metrics }: LogAndMetrics, limited: LimitedServer): void {
  metrics.serversLimited.of(limited.limit).add()
  log.info(limited, 'another homeserver is over a limit (rateLimit.perServer; of key look-ups, one that is fixed)')
}

/** A connection to somewhere that strangers sent us to was not made; `why` names the option that forbids it. */
export function addressRefused(
  { log, metrics }: LogAndMetrics,
  { host, why }: { readonly host: string; readonly why: string },
): void {
  metrics.addressesRefused.of().add()
  log.warn({ host, why }, 'an address was not connected to')
}

/**
 * Something failed that is nobody's mistake but ours: logged with its stack, counted, and reported. The one place from which
 * errors are reported.
 */
export function internalError(
  { log, metrics, reporter }: EventParts,
  error: unknown,
  context: ReportContext = {},
): void {
  metrics.internalErrors.of().add()
  log.error({ err: error, ...context }, 'internal error')
  reporter.report(error, context)
}

/** The field names are MMR's. */
function logRequest(log: Log, line: RequestLine): void {
  const url = redactUrl(line.url)
  const query = url.indexOf('?')
  logDirectly(
    log,
    {
      method: line.method,
      host: line.host,
      resource: query === -1 ? url : url.slice(0, query),
      queryString: query === -1 ? undefined : url.slice(query + 1),
      status: line.status,
      durationMs: Math.round(line.durationMs * 100) / 100,
      requestId: line.requestId,
      remoteAddr: line.remoteAddr,
      userAgent: line.userAgent,
      contentType: line.contentType,
      contentLength: line.contentLength,
    },
    'request finished',
  )
}
