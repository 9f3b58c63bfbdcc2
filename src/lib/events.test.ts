import { beforeEach, expect, test } from 'vitest'

import * as background from './background-events.ts'
import { previewFailed, previewsPurged } from './preview-events.ts'
import * as events from './events.ts'
import type { OpenedLog } from './log.ts'
import { openLog } from './log.ts'
import type { Metrics } from './metrics.ts'
import { openMetrics } from './metrics.ts'
import type { ReportContext } from './telemetry.ts'

let lines: string[]
let metrics: Metrics
let log: OpenedLog['log']
let reported: { error: unknown; context: ReportContext | undefined }[]
let parts: events.EventParts

beforeEach(() => {
  lines = []
  reported = []
  const terminal = { write: (line: string) => void lines.push(line), flushSync() {}, close: () => Promise.resolve() }
  log = openLog({ logDirectory: '', logColors: false, jsonLogs: false, logLevel: 'info' }, { terminal }).log
  metrics = openMetrics({ version: '1.2.3' })
  metrics.configure({ homeservers: ['example.org'], sizes: [{ width: 320, height: 240 }] })
  const reporter = {
    report: (error: unknown, context?: ReportContext) => void reported.push({ error, context }),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
  parts = { log, metrics, reporter }
})

const START = { host: 'example.org', action: 'download', method: 'GET' }
const END = { ...START, url: '/_matrix/media/v3/download/a/b', status: 200, durationMs: 30.123 }

/** The lines of the exposition that are about `name`, without comments. */
function shown(name: string): string[] {
  const exposition = metrics.families.map((family) => family.render()).join('\n')
  return exposition.split('\n').filter((line) => line.startsWith(name))
}

test('a request is counted when it arrives, and its answer when it is finished', () => {
  events.requestStarted(parts, START)
  expect(shown('media_http_re')).toEqual([
    'media_http_requests_total{host="example.org",action="download",method="GET"} 1',
  ])
  events.requestFinished(parts, END)
  const labels = 'host="example.org",action="download",method="GET"'
  expect(shown('media_http_responses_total')).toEqual([`media_http_responses_total{${labels},statusCode="200"} 1`])
  const times = shown('media_http_response_time_seconds')
  expect(times).toContain(`media_http_response_time_seconds_bucket{${labels},le="0.025"} 0`)
  expect(times).toContain(`media_http_response_time_seconds_bucket{${labels},le="0.05"} 1`)
  expect(times).toContain(`media_http_response_time_seconds_bucket{${labels},le="+Inf"} 1`)
  expect(times).toContain(`media_http_response_time_seconds_count{${labels}} 1`)
})

test('the line of a request has the fields MMR gives it, and no token', () => {
  events.requestFinished(parts, {
    ...END,
    url: '/_matrix/media/v3/upload?filename=a.png&access_token=syt_secret',
    requestId: 'REQ-1',
    remoteAddr: '192.0.2.1',
    userAgent: 'Element X',
    contentType: 'image/png',
    contentLength: 12,
  })
  expect(lines[0]?.replace(/^time="[^"]+" /, '')).toBe(
    'level=info msg="request finished" method=GET host=example.org resource=/_matrix/media/v3/upload ' +
      'queryString="filename=a.png&access_token=[redacted]" status=200 durationMs=30.12 requestId=REQ-1 ' +
      'remoteAddr=192.0.2.1 userAgent="Element X" contentType=image/png contentLength=12\n',
  )
})

test('a request turned away before its route is logged and not counted', () => {
  events.requestTurnedAway(parts, { ...END, status: 429 })
  expect(lines).toHaveLength(1)
  expect(shown('media_http_')).toEqual([])
})

test('a request for an unknown host is counted as invalid, and the log names the host', () => {
  events.unknownHost(parts, { ...START, host: 'wrong.example\nhost' })
  expect(shown('media_invalid_http_requests_total')).toEqual([
    'media_invalid_http_requests_total{action="download",method="GET"} 1',
  ])
  expect(lines[0]).toContain(String.raw`level=warning msg="no homeserver is configured for this host`)
  expect(lines[0]).toContain(String.raw`host="wrong.example\nhost"`)
})

test('what happens to files is counted under the names of MMR, and of ours where it has none', () => {
  const file = { origin: 'example.org', mediaId: 'abc', durationMs: 1, bytes: 100 }
  events.uploaded(parts, { ...file, host: 'example.org', userId: '@a:example.org', contentType: 'image/png' })
  events.downloaded(parts, { ...file, origin: 'matrix.org' })
  const thumbnail = { ...file, width: 320, height: 240, method: 'crop', animated: false }
  events.thumbnailGenerated(parts, thumbnail)
  events.thumbnailGenerated(parts, { ...thumbnail, width: 321 })
  events.mediaAccessed(parts, { ageMs: 20_000 })
  events.mediaAccessed(parts, { ageMs: -5 })
  events.cacheHit(parts, 'tokens')
  events.cacheMissed(parts, 'tokens')
  events.s3Called(parts, 'PutObject')
  events.urlPreviewed(parts, { type: 'opengraph', url: 'https://example.org/', durationMs: 5 })
  expect(shown('media_')).toEqual(
    expect.arrayContaining([
      'media_downloaded_total{origin="matrix.org"} 1',
      'media_thumbnails_generated_total{width="320",height="240",method="crop",animated="false",origin="example.org"} 1',
      'media_thumbnails_generated_total{width="other",height="240",method="crop",animated="false",origin="example.org"} 1',
      'media_age_accessed_media_seconds_bucket{le="5"} 1',
      'media_age_accessed_media_seconds_bucket{le="30"} 2',
      'media_age_accessed_media_seconds_bucket{le="31536000"} 2',
      'media_cache_hits_total{cache="tokens"} 1',
      'media_cache_misses_total{cache="tokens"} 1',
      'media_s3_operations_total{operation="PutObject"} 1',
      'media_url_previews_generated_total{type="opengraph"} 1',
    ]),
  )
  const moderated = { mxc: 'mxc://a/b', sha256: 'abc', by: '@admin:example.org' }
  events.mediaQuarantined(parts, { ...moderated, names: 2 })
  events.mediaReleased(parts, { ...moderated, names: 2 })
  events.mediaDeleted(parts, { ...moderated, objects: 1 })
  const action = { by: '@admin:example.org', address: '192.0.2.7', requestId: 'r1', action: 'purge_old' }
  events.administered(parts, { ...action, subject: 'example.org', affected: 5, error: '' })
  events.administered(parts, { ...action, subject: 'example.org', affected: null, error: 'the disk is full' })
  events.adminRefused(parts, { ...action, path: '/_matrix/media/unstable/admin/purge/old' })
  events.serverLimited(parts, { limit: 'bytes', who: 'a.test', retryAfterMs: 1000 })
  events.fetchLimited(parts, { payer: 'user @a:example.org', bytes: 5, retryAfterMs: 1000 })
  events.addressRefused(parts, { host: 'inside.test', why: 'federation.disallowedNetworks has 10.0.0.0/8' })
  events.urlPreviewed(parts, { type: 'none', url: 'https://example.org/nothing', durationMs: 5 })
  previewFailed(parts, { url: 'https://example.org/slow?access_token=secret-word', why: 'timed_out', detail: '' })
  previewsPurged(parts, { removed: 3, pictures: 1, by: undefined })
  expect(shown('cellarium_')).toEqual([
    'cellarium_url_previews_total{type="opengraph",outcome="made"} 1',
    'cellarium_url_previews_total{type="none",outcome="empty"} 1',
    'cellarium_url_previews_total{type="none",outcome="timed_out"} 1',
    'cellarium_url_previews_removed_total 3',
    'cellarium_build_info{version="1.2.3"} 1',
    'cellarium_database_up 0',
    'cellarium_uploads_total{host="example.org"} 1',
    'cellarium_uploaded_bytes_total{host="example.org"} 100',
    'cellarium_transferred_bytes_total 0',
    'cellarium_unused_objects_deleted_total 0',
    'cellarium_remote_media_trimmed_total 0',
    'cellarium_pregenerations_dropped_total 0',
    'cellarium_thumbnails_expired_total 0',
    'cellarium_quarantined_total 2',
    'cellarium_deleted_total 1',
    'cellarium_admin_actions_total{action="purge_old",outcome="done"} 1',
    'cellarium_admin_actions_total{action="purge_old",outcome="failed"} 1',
    'cellarium_admin_refusals_total{action="purge_old"} 1',
    'cellarium_servers_limited_total{limit="bytes"} 1',
    'cellarium_fetches_limited_total 1',
    'cellarium_addresses_refused_total 1',
    'cellarium_internal_errors_total 0',
  ])
})

test('tasks, jobs and transfers are counted by how they end', () => {
  const task = { task: 'storage_migration', id: 7 }
  background.taskTaken(parts, task)
  expect(shown('cellarium_tasks_running')).toEqual(['cellarium_tasks_running{task="storage_migration"} 1'])
  background.taskLeft(parts, task)
  expect(shown('cellarium_tasks_running')).toEqual(['cellarium_tasks_running{task="storage_migration"} 0'])
  background.taskEnded(parts, { ...task, problem: '', cancelled: false })
  background.taskEnded(parts, { ...task, problem: '3 left where they are', cancelled: false })
  background.taskEnded(parts, { ...task, problem: 'cancelled', cancelled: true })
  background.jobRan(parts, { job: 'usage', durationMs: 3 })
  background.jobRan(parts, { job: 'usage', durationMs: 3, problem: new Error('down') })
  const object = { sha256: 'abc', bytes: 100, from: 'old', location: 'x', to: 'new' }
  background.objectMoved(parts, object)
  background.objectNotMoved(parts, { ...object, problem: new Error('damaged') })
  background.unusedDeleted(parts, { datastore: 'old', location: 'x' })
  const ends = ['done', 'failed', 'cancelled'].map((outcome) => `{task="storage_migration",outcome="${outcome}"} 1`)
  expect(shown('cellarium_tasks_total')).toEqual(ends.map((end) => `cellarium_tasks_total${end}`))
  expect(shown('cellarium_job_runs_total')).toHaveLength(2)
  expect(shown('cellarium_transferred_')).toEqual([
    'cellarium_transferred_objects_total{outcome="moved"} 1',
    'cellarium_transferred_objects_total{outcome="failed"} 1',
    'cellarium_transferred_bytes_total 100',
  ])
  expect(shown('cellarium_unused_')).toEqual(['cellarium_unused_objects_deleted_total 1'])
  expect(lines.filter((line) => line.includes('level=warning'))).toHaveLength(4)
})

test('files from ever new servers make at most a hundred new series, then one called other', () => {
  for (let server = 0; server < 1_000; server += 1) {
    events.downloaded(parts, { origin: `s${server}.example`, mediaId: 'a', bytes: 1, durationMs: 1 })
  }
  events.downloaded(parts, { origin: 'example.org', mediaId: 'a', bytes: 1, durationMs: 1 })
  const series = shown('media_downloaded_total')
  expect(series).toHaveLength(102)
  expect(series).toContain('media_downloaded_total{origin="other"} 900')
  expect(series).toContain('media_downloaded_total{origin="example.org"} 1')
})

test('two hundred homeservers all keep their names, of two thousand the last are called other', () => {
  const homeservers = Array.from({ length: 2_000 }, (_, number) => `hs${number}.example`)
  metrics.configure({ homeservers: homeservers.slice(0, 200), sizes: [] })
  for (const host of homeservers.slice(0, 200)) events.requestStarted(parts, { ...START, host })
  expect(shown('media_http_requests_total')).toHaveLength(200)
  metrics.configure({ homeservers, sizes: [] })
  for (const host of homeservers) events.requestStarted(parts, { ...START, host })
  expect(shown('media_http_requests_total')).toHaveLength(1_001)
})

test('a datastore that goes down or comes back is one log line each, however often it is checked', () => {
  const down = { datastore: 's3', problem: new Error('timed out') }
  events.datastoreChecked(parts, { datastore: 's3' })
  events.datastoreChecked(parts, down)
  events.datastoreChecked(parts, down)
  expect(shown('cellarium_datastore_up')).toEqual(['cellarium_datastore_up{datastore="s3"} 0'])
  events.datastoreChecked(parts, { datastore: 's3' })
  expect(lines.map((line) => /msg="([^"]+)"/.exec(line)?.[1])).toEqual([
    'the datastore cannot be used',
    'the datastore can be used again',
  ])
  expect(shown('cellarium_datastore_up')).toEqual(['cellarium_datastore_up{datastore="s3"} 1'])
})

test('a defect is logged with its stack, counted, and reported once', () => {
  const error = new TypeError('oops')
  events.internalError(parts, error, { action: 'download', requestId: 'REQ-1' })
  expect(lines[0]).toContain(
    'level=error msg="internal error" err.type=TypeError err.message=oops err.stack="TypeError: oops',
  )
  expect(lines[0]).toContain('action=download requestId=REQ-1')
  expect(reported).toEqual([{ error, context: { action: 'download', requestId: 'REQ-1' } }])
  expect(shown('cellarium_internal_errors_total')).toEqual(['cellarium_internal_errors_total 1'])
})

test('files that could not be fetched are counted by their reason, and the log says why; answers from memory are counted', () => {
  const cause = new Error('connect ECONNREFUSED')
  const failed = { origin: 'far.example', mediaId: 'abc', reason: 'unreachable' }
  events.fetchFailed(parts, failed, new Error('far.example cannot be reached', { cause }))
  events.remoteFailureAnswered(parts)
  expect(shown('cellarium_remote_fetch_failures_total')).toEqual([
    'cellarium_remote_fetch_failures_total{reason="unreachable"} 1',
  ])
  expect(shown('media_cache_hits_total')).toEqual(['media_cache_hits_total{cache="remote_failures"} 1'])
  expect(lines.join('')).toContain('connect ECONNREFUSED')
})
