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

/** A homeserver that is served here answered a question of `purpose`, or gave no answer. Who asked it logs that. */
export function homeserverChecked(
  { metrics }: Pick<EventParts, 'metrics'>,
  {
    homeserver,
    purpose,
    problem,
  }: { readonly homeserver: string; readonly purpose: string; readonly problem: unknown },
): void {
  metrics.homeserverUp.of(homeserver, purpose).set(problem === undefined ? 1 : 0)
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

/** An upload was refused because its user, or its homeserver, has or has sent as much as it may (`uploads.quotas`). */
export function uploadOverLimit(
  { log, metrics }: LogAndMetrics,
  refused: {
    readonly host: string
    readonly userId: string
    readonly of: 'user' | 'total'
    readonly what: string
    readonly limit: number
    readonly used: number
  },
): void {
  metrics.uploadsOverLimit.of(metrics.labels.host.admit(refused.host), `${refused.of} ${refused.what}`).add()
  log.info(refused, 'an upload was over a limit of uploads.quotas')
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

export interface LimitedRequest {
  /** `path`: of one address to one path; `caller`: of one user or address; `create`: for media ids. */
  readonly limit: 'path' | 'caller' | 'create'
  /** The user, or the address. */
  readonly who: string
  readonly path?: string
  readonly retryAfterMs: number
}

/** A request was refused because of `rateLimit`. A private address here is a proxy that does not say for whom it asks. */
export function requestLimited({ log, metrics }: LogAndMetrics, limited: LimitedRequest): void {
  metrics.requestsLimited.of(limited.limit).add()
  log.info(limited, 'a request was over a limit of rateLimit')
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
