/** What the SDK throws, as far as it matters here: an error with the service's code as its name, and the HTTP status. */
interface ServiceError {
  readonly name: string
  readonly message: string
  readonly code?: string
  readonly Code?: string
  /** In the refusal of a request that was signed for another region. */
  readonly Region?: string
  readonly $metadata?: { readonly httpStatusCode?: number }
  readonly $response?: { readonly headers?: Readonly<Record<string, string | undefined>> }
}

/** A call did not work, and neither did trying again where that made sense. It says nothing about the object. */
export class S3Failure extends Error {
  override readonly name = 'S3Failure'
  /** S3's name of what is wrong (`SlowDown`, `AccessDenied`, `NoSuchBucket`), or the system's (`ECONNREFUSED`). */
  readonly code: string
  /** HTTP status; undefined when no answer came. */
  readonly status: number | undefined

  /** Not this call alone failed: the service is down, and no call has a chance. */
  readonly isServiceDown: boolean

  constructor(what: string, cause: unknown, isServiceDown = false) {
    const { code, status, message } = told(cause)
    super(`${what}: ${[status, code, message].filter((part) => part !== undefined && part !== '').join(' ')}`, {
      cause,
    })
    this.code = code
    this.status = status
    this.isServiceDown = isServiceDown
  }
}

/** What is to be done about a refusal where its own words do not say so. */
const ADVICE: Readonly<Record<string, string>> = {
  NoSuchBucket: 'the bucket does not exist; create it, or correct opts.bucketName',
  AccessDenied: 'the key may not do that; docs/datastores.md has the policy it needs',
  InvalidAccessKeyId: 'the service does not know the key; correct opts.accessKeyId',
  SignatureDoesNotMatch: 'the secret does not belong to the key; correct opts.accessSecret',
  CredentialsProviderError: 'no credentials were found; set opts.accessKeyId and opts.accessSecret',
  PermanentRedirect: 'the bucket is in another region; correct opts.region or opts.endpoint',
}

function told(cause: unknown): {
  readonly code: string
  readonly status: number | undefined
  readonly message: string
} {
  const code = codeOf(cause)
  const status = statusOf(cause)
  const message = (cause as Partial<ServiceError> | undefined)?.message ?? String(cause)
  return { code, status, message: ADVICE[code] ? `${ADVICE[code]} (${message})` : message }
}

/** S3's code, else the system's, else the error's name. Answers to HEAD have no body that could say more than a status. */
export function codeOf(error: unknown): string {
  const { name, code, Code } = (error ?? {}) as Partial<ServiceError>
  const said = Code ?? code ?? name ?? 'Error'
  const status = statusOf(error)
  if (said !== 'Unknown' && said !== 'UnknownError' && said !== 'Error') return said
  return status === 403 ? 'AccessDenied' : status === 301 ? 'PermanentRedirect' : said
}

export function statusOf(error: unknown): number | undefined {
  return (error as Partial<ServiceError> | undefined)?.$metadata?.httpStatusCode
}

const PASSING_STATUS: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504])
/** The clock is among them: the SDK has corrected its idea of the time by the refusal. */
const PASSING_CODES: ReadonlySet<string> = new Set([
  'RequestTimeout',
  'RequestTimeTooSkewed',
  'RequestExpired',
  'RequestInTheFuture',
  'SlowDown',
  'Throttling',
  'ThrottlingException',
  'BadDigest',
  'IncompleteBody',
  'OperationAborted',
])

const OUR_OWN: ReadonlySet<string> = new Set([
  'CredentialsProviderError',
  'TypeError',
  'ENOENT',
  'EACCES',
  'EIO',
  'StagedFileChanged',
  'Closed',
])

/** Whether the same call may well work a moment later. */
export function isPassing(error: unknown): boolean {
  const status = statusOf(error)
  if (PASSING_CODES.has(codeOf(error))) return true
  if (status !== undefined) return PASSING_STATUS.has(status)
  // No answer: the connection failed, broke or hung. What is ours (no file, no credentials) does not pass.
  return !OUR_OWN.has(codeOf(error))
}

/** What a service that is gone, or a proxy in front of one, answers to everybody. */
const DOWN_STATUS: ReadonlySet<number> = new Set([502, 503, 504])

/** Whether the failure may mean that the service is down for everybody: no connection, none that lasts, no answer, or 503. */
export function saysDown(error: unknown): boolean {
  const status = statusOf(error)
  if (status !== undefined) return DOWN_STATUS.has(status)
  return isPassing(error) && !PASSING_CODES.has(codeOf(error))
}

/** The SDK's only time limit that is not ours is for the connection. */
export function isConnectTimeout(error: unknown): boolean {
  return error instanceof Error && error.name === 'TimeoutError'
}

/** The region that the bucket is in, when a refusal names one. */
export function regionIn(error: unknown): string | undefined {
  const { Region, $response } = (error ?? {}) as Partial<ServiceError>
  const status = statusOf(error)
  if (status === undefined || status < 300 || status >= 500) return undefined
  return $response?.headers?.['x-amz-bucket-region'] ?? Region
}
