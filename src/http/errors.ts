import { CallerGone, type Reason, Refused, RefusedByHomeserver, Unavailable } from '../lib/errors.ts'
import { http } from '../lib/node-http.ts'
import { json, type JsonAnswer } from './answers.ts'

interface Row {
  readonly status: number
  readonly errcode: string
  /** MMR's own code beside the specification's, where deployments may look at it. */
  readonly mrErrcode?: string
}

/** What each refusal looks like on the wire. Source: specification; statuses where MMR differs are in its CHANGELOG entry. */
const table: Readonly<Record<Reason, Row>> = {
  missing_token: { status: 401, errcode: 'M_MISSING_TOKEN' },
  unknown_token: { status: 401, errcode: 'M_UNKNOWN_TOKEN' },
  guest: { status: 403, errcode: 'M_GUEST_ACCESS_FORBIDDEN' },
  server_unauthorized: { status: 401, errcode: 'M_UNAUTHORIZED' },
  server_keys_unavailable: { status: 401, errcode: 'M_UNAUTHORIZED' },
  forbidden: { status: 403, errcode: 'M_FORBIDDEN' },
  not_found: { status: 404, errcode: 'M_NOT_FOUND' },
  // Looks like any other file that is not there.
  quarantined: { status: 404, errcode: 'M_NOT_FOUND' },
  blocked_host: { status: 404, errcode: 'M_NOT_FOUND', mrErrcode: 'M_FORBIDDEN' },
  authentication_needed: { status: 404, errcode: 'M_NOT_FOUND' },
  wrong_domain: { status: 404, errcode: 'M_NOT_FOUND', mrErrcode: 'M_FORBIDDEN' },
  unrecognized: { status: 404, errcode: 'M_UNRECOGNIZED', mrErrcode: 'M_NOT_FOUND' },
  wrong_method: { status: 405, errcode: 'M_UNRECOGNIZED', mrErrcode: 'M_METHOD_NOT_ALLOWED' },
  unknown_host: { status: 502, errcode: 'M_UNKNOWN' },
  bad_parameter: { status: 400, errcode: 'M_INVALID_PARAM', mrErrcode: 'M_BAD_REQUEST' },
  missing_parameter: { status: 400, errcode: 'M_MISSING_PARAM', mrErrcode: 'M_BAD_REQUEST' },
  bad_request: { status: 400, errcode: 'M_UNKNOWN', mrErrcode: 'M_BAD_REQUEST' },
  not_yet_uploaded: { status: 504, errcode: 'M_NOT_YET_UPLOADED' },
  already_uploaded: { status: 409, errcode: 'M_CANNOT_OVERWRITE_MEDIA' },
  too_large: { status: 413, errcode: 'M_TOO_LARGE', mrErrcode: 'M_MEDIA_TOO_LARGE' },
  too_small: { status: 400, errcode: 'M_UNKNOWN', mrErrcode: 'M_MEDIA_TOO_SMALL' },
  length_mismatch: { status: 400, errcode: 'M_UNKNOWN', mrErrcode: 'M_BAD_REQUEST' },
  over_quota: { status: 403, errcode: 'M_FORBIDDEN', mrErrcode: 'M_QUOTA_EXCEEDED' },
  // Has to carry `info_uri`. Source: specification 1.18, MSC4335.
  over_user_limit: { status: 403, errcode: 'M_USER_LIMIT_EXCEEDED', mrErrcode: 'M_QUOTA_EXCEEDED' },
  multipart_refused: { status: 415, errcode: 'M_UNKNOWN', mrErrcode: 'M_BAD_REQUEST' },
  limited: { status: 429, errcode: 'M_LIMIT_EXCEEDED' },
  range_not_satisfiable: { status: 416, errcode: 'M_UNKNOWN', mrErrcode: 'M_BAD_REQUEST' },
  not_thumbnailable: { status: 400, errcode: 'M_UNKNOWN' },
  // 4xx, so that what asked (this program) passes it on in these words.
  leads_back: { status: 400, errcode: 'M_UNKNOWN' },
  homeserver_unavailable: { status: 502, errcode: 'M_UNKNOWN' },
  origin_unavailable: { status: 502, errcode: 'M_UNKNOWN' },
  origin_timed_out: { status: 504, errcode: 'M_UNKNOWN' },
  remote_too_large: { status: 502, errcode: 'M_TOO_LARGE', mrErrcode: 'M_MEDIA_TOO_LARGE' },
  storage_unavailable: { status: 503, errcode: 'M_UNKNOWN' },
}

/** The answer to a request that ended with `error`. What nobody foresaw says nothing of itself to the caller. */
export function errorAnswer(error: unknown): JsonAnswer {
  if (error instanceof Unavailable) {
    const { message, retryAfterMs } = error
    return errorAnswer(new Refused('storage_unavailable', message, { retryAfterMs }))
  }
  if (error instanceof RefusedByHomeserver) {
    return json({ ...error.body, mr_errcode: error.body['errcode'] }, error.status)
  }
  if (!(error instanceof Refused)) {
    return json({ errcode: 'M_UNKNOWN', error: 'Internal server error', mr_errcode: 'M_UNKNOWN' }, 500)
  }
  const { status, errcode, mrErrcode = errcode } = table[error.reason]
  const { retryAfterMs, contentRange, allow, fields } = error.options
  const retry = retryAfterMs === undefined ? {} : { retry_after_ms: Math.ceil(retryAfterMs) }
  const body = { errcode, error: error.message, mr_errcode: mrErrcode, ...retry, ...fields }
  const headers = [
    ...(retryAfterMs === undefined ? [] : ['Retry-After', String(Math.ceil(retryAfterMs / 1000))]),
    ...(contentRange === undefined ? [] : ['Content-Range', contentRange]),
    ...(allow === undefined ? [] : ['Allow', allow.join(', ')]),
  ]
  return { ...json(body, status), headers }
}

/** Whether `error` is a defect that administrators should hear of. Of outages they hear once, from who watches the part. */
export function isUnforeseen(error: unknown): boolean {
  return ![Refused, RefusedByHomeserver, CallerGone, Unavailable].some((foreseen) => error instanceof foreseen)
}

/** The answer to bytes that Node could make no request of, by its error code, as a whole HTTP message. */
export function unreadableMessage(code: string | undefined): string {
  const [status, error] = UNREADABLE.get(code ?? '') ?? [400, 'this is not an HTTP request, or it ended too early']
  const body = JSON.stringify({ errcode: 'M_UNKNOWN', error })
  return (
    `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\nContent-Type: application/json\r\nAccess-Control-Allow-Origin: *\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`
  )
}

const UNREADABLE: ReadonlyMap<string, readonly [status: number, error: string]> = new Map([
  ['HPE_HEADER_OVERFLOW', [431, 'the request headers are too long']],
  ['HPE_CHUNK_EXTENSIONS_OVERFLOW', [413, 'the chunk extensions are too long']],
  ['ERR_HTTP_REQUEST_TIMEOUT', [408, 'the request headers did not come in time']],
])
