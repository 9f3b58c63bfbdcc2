import { CountFamily, DistributionFamily, LabelLimit } from './counts.ts'
import type { Family } from './counts.ts'

/** Prometheus's usual bounds, in seconds. */
const RESPONSE_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** From a moment to a day. */
const WORK_SECONDS = [0.01, 0.1, 1, 10, 60, 600, 3600, 21_600, 86_400]

/** From seconds to a year, as MMR's dashboards have them. */
const AGE_SECONDS = [
  5, 15, 30, 60, 120, 150, 300, 900, 1800, 3600, 9000, 18000, 43200, 86400, 1296000, 2592000, 15811200, 31536000,
]

const MAX_HOSTS = 1_000
const MAX_FOREIGN_ORIGINS = 100
const MAX_SIZES = 100

/** What the configuration says about labels; call again after a reload. */
export interface MetricsConfiguration {
  /** Names of the configured homeservers. */
  readonly homeservers: readonly string[]
  /** All configured thumbnail sizes, in pixels. */
  readonly sizes: readonly { readonly width: number; readonly height: number }[]
}

export type Metrics = ReturnType<typeof openMetrics>

/**
 * Everything that is counted, under the names and labels of MMR (its dashboards go on working) and `cellarium_…` for what is
 * new. No module-wide registry: each call gives counts of its own. Nothing here loads prom-client.
 */
export function openMetrics({ version }: { readonly version: string }) {
  const families = openFamilies()
  families.buildInfo.of(version).set(1)
  const labels = {
    host: new LabelLimit(MAX_HOSTS, 0),
    origin: new LabelLimit(MAX_HOSTS, MAX_FOREIGN_ORIGINS),
    width: new LabelLimit(MAX_SIZES, 0),
    height: new LabelLimit(MAX_SIZES, 0),
  }
  return {
    ...families,
    /** What a label's value becomes, so that strangers cannot make series without end. */
    labels,
    /** Every family, in the order of the documentation. */
    families: Object.values(families) as readonly Family[],
    configure({ homeservers, sizes }: MetricsConfiguration): void {
      labels.host.setKnown(homeservers)
      labels.origin.setKnown(homeservers)
      labels.width.setKnown(sizes.map((size) => String(size.width)))
      labels.height.setKnown(sizes.map((size) => String(size.height)))
    },
  }
}

function openFamilies() {
  const perRequest = ['host', 'action', 'method']
  return {
    requests: counter('media_http_requests_total', 'Requests received', perRequest),
    invalidRequests: counter('media_invalid_http_requests_total', 'Requests for hosts that are not configured', [
      'action',
      'method',
    ]),
    responses: counter('media_http_responses_total', 'Answers sent', [...perRequest, 'statusCode']),
    responseTime: new DistributionFamily(
      'media_http_response_time_seconds',
      'Time from the request to the end of its answer, in seconds',
      RESPONSE_SECONDS,
      perRequest,
    ),
    cacheHits: counter('media_cache_hits_total', 'Look-ups that a cache answered', ['cache']),
    cacheMisses: counter('media_cache_misses_total', 'Look-ups that a cache could not answer', ['cache']),
    cacheBytes: new CountFamily('gauge', 'cellarium_cache_bytes', 'Bytes that a cache keeps in memory', ['cache']),
    thumbnails: counter('media_thumbnails_generated_total', 'Thumbnails generated', [
      'width',
      'height',
      'method',
      'animated',
      'origin',
    ]),
    downloads: counter('media_downloaded_total', 'Files fetched from other servers', ['origin']),
    fetchFailures: counter(
      'cellarium_remote_fetch_failures_total',
      'Files that could not be fetched from other servers',
      ['reason'],
    ),
    ...previewFamilies(),
    s3Operations: counter('media_s3_operations_total', 'Calls to S3', ['operation']),
    mediaAge: new DistributionFamily(
      'media_age_accessed_media_seconds',
      'Age of the media that are accessed, in seconds',
      AGE_SECONDS,
    ),
    buildInfo: new CountFamily('gauge', 'cellarium_build_info', 'Always 1; the label is the version', ['version']),
    ...ofParts(),
    uploads: counter('cellarium_uploads_total', 'Uploads stored', ['host']),
    uploadedBytes: counter('cellarium_uploaded_bytes_total', 'Bytes of the uploads stored', ['host']),
    ...ofBackground(),
    transferred: counter('cellarium_transferred_objects_total', 'Objects handled by transfers', ['outcome']),
    transferredBytes: counter('cellarium_transferred_bytes_total', 'Bytes moved to another datastore'),
    unusedDeleted: counter('cellarium_unused_objects_deleted_total', 'Objects deleted that no record named any more'),
    lostObjects: counter('cellarium_objects_lost_total', 'Objects found to be gone', ['datastore']),
    damagedObjects: counter('cellarium_objects_damaged_total', 'Objects found not to be what their hash says', [
      'datastore',
    ]),
    recoveredObjects: counter('cellarium_objects_recovered_total', 'Lost or damaged objects found to be right again', [
      'datastore',
    ]),
    sweptObjects: counter('cellarium_objects_swept_total', 'Objects deleted because no record names them', [
      'datastore',
    ]),
    scrubbedBytes: counter('cellarium_scrubbed_bytes_total', 'Bytes read again to find damage', ['datastore']),
    remoteTrimmed: counter('cellarium_remote_media_trimmed_total', 'Media of other servers removed to stay in bounds'),
    expiredMedia: counter('cellarium_expired_media_total', 'Media removed because nobody used them', ['kind']),
    expiredBytes: counter('cellarium_expired_bytes_total', 'Bytes of those media, each name counted', ['kind']),
    preGenerationsDropped: counter('cellarium_pregenerations_dropped_total', 'Uploads without thumbnails in advance'),
    thumbnailsExpired: counter('cellarium_thumbnails_expired_total', 'Thumbnails removed because nobody used them'),
    ...ofAdministration(),
    ...limitFamilies(),
    ...gateFamilies(),
    addressesRefused: counter('cellarium_addresses_refused_total', 'Connections that the configured networks forbade'),
    signingKeys: new CountFamily('gauge', 'cellarium_signing_key_usable', '1 if the homeserver has a signing key', [
      'host',
    ]),
    remoteKeys: counter('cellarium_remote_key_fetches_total', 'Times that the keys of other servers were fetched', [
      'outcome',
    ]),
    internalErrors: counter('cellarium_internal_errors_total', 'Failures that are defects of this program'),
  }
}

/** What the server needs: databases, datastores, homeservers, Redis. */
function ofParts() {
  return {
    datastoreUp: new CountFamily('gauge', 'cellarium_datastore_up', '1 if the datastore could be used, 0 if not', [
      'datastore',
    ]),
    homeserverUp: new CountFamily(
      'gauge',
      'cellarium_homeserver_up',
      '1 if a homeserver that is served here answered, 0 if not',
      ['host', 'purpose'],
    ),
    redisUp: new CountFamily(
      'gauge',
      'cellarium_redis_up',
      '1 if the connection to the Redis server stands, 0 if not',
      ['shard', 'use'],
    ),
    redisFailures: counter('cellarium_redis_failures_total', 'Connections to Redis lost, hanging or not to be had', [
      'shard',
      'use',
    ]),
    redisWrong: counter('cellarium_redis_wrong_values_total', 'Values in Redis that were not what was put there', [
      'what',
    ]),
    sharedRemote: counter(
      'cellarium_redis_remote_files_total',
      'Files of other servers left in Redis for other repositories, and taken from it',
      ['outcome'],
    ),
    databaseUp: new CountFamily('gauge', 'cellarium_database_up', '1 if the database could be used, 0 if not'),
  }
}

/** Tasks and jobs. */
function ofBackground() {
  return {
    tasks: counter('cellarium_tasks_total', 'Tasks that ended', ['task', 'outcome']),
    tasksRunning: new CountFamily('gauge', 'cellarium_tasks_running', 'Tasks that this instance works on', ['task']),
    taskTime: new DistributionFamily(
      'cellarium_task_seconds',
      'Time that this instance worked on a task, to its end or until it left it, in seconds',
      WORK_SECONDS,
      ['task'],
    ),
    jobTime: new DistributionFamily(
      'cellarium_job_seconds',
      'Time of a run of a scheduled job, in seconds',
      WORK_SECONDS,
      ['job'],
    ),
    jobSuccess: new CountFamily(
      'gauge',
      'cellarium_job_last_success_timestamp_seconds',
      'When a scheduled job last ended well on whichever instance, in seconds since 1970',
      ['job'],
    ),
    jobs: counter('cellarium_job_runs_total', 'Runs of scheduled jobs on this instance', ['job', 'outcome']),
  }
}

/** What administrators do. */
function ofAdministration() {
  return {
    quarantined: counter('cellarium_quarantined_total', 'Names of media that were quarantined'),
    deleted: counter('cellarium_deleted_total', 'Media that were deleted'),
    administered: counter('cellarium_admin_actions_total', 'Lines of the audit log', ['action', 'outcome']),
    adminRefused: counter('cellarium_admin_refusals_total', 'Requests for administrators that others made', ['action']),
  }
}

function previewFamilies() {
  return {
    urlPreviews: counter('media_url_previews_generated_total', 'URL previews generated', ['type']),
    previews: counter('cellarium_url_previews_total', 'Pages looked at for previews', ['type', 'outcome']),
    previewsPurged: counter('cellarium_url_previews_removed_total', 'Stored previews that were removed'),
  }
}

/** What was refused because there was too much of it. */
function limitFamilies() {
  return {
    uploadsOverLimit: counter('cellarium_uploads_over_limit_total', 'Uploads refused by uploads.quotas', [
      'host',
      'limit',
    ]),
    serversLimited: counter('cellarium_servers_limited_total', 'Requests of other homeservers refused by a limit', [
      'limit',
    ]),
    requestsLimited: counter('cellarium_requests_limited_total', 'Requests of clients refused by a limit', ['limit']),
    fetchesLimited: counter('cellarium_fetches_limited_total', 'Requests refused by rateLimit.buckets.downloads'),
  }
}

/** Of what judges files before they are stored. */
function gateFamilies() {
  return {
    gateVerdicts: counter('cellarium_gate_verdicts_total', 'Files judged by a gate, and what was to happen to them', [
      'gate',
      'verdict',
    ]),
    gateTime: new DistributionFamily(
      'cellarium_gate_seconds',
      'Time that a gate took for a file, in seconds',
      RESPONSE_SECONDS,
      ['gate'],
    ),
    gateUp: new CountFamily('gauge', 'cellarium_gate_up', '1 if the gate could judge the last file, 0 if not', [
      'gate',
    ]),
    hashListUp: new CountFamily('gauge', 'cellarium_hash_list_up', '1 if the list could be read the last time', [
      'list',
    ]),
    hashListSize: new CountFamily('gauge', 'cellarium_hash_list_hashes', 'Hashes on a list', ['list']),
    reports: counter('cellarium_reports_total', 'Media reported to administrators', ['source']),
    reportsClosed: counter('cellarium_reports_closed_total', 'Reports that administrators decided about', ['outcome']),
  }
}

function counter(name: string, help: string, labelNames: readonly string[] = []): CountFamily {
  return new CountFamily('counter', name, help, labelNames)
}
