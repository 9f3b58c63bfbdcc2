import { type Reason, Refused } from '../lib/errors.ts'

/** Why a file could not be had from its server. */
export type RemoteReason =
  | 'not_found'
  | 'not_yet_uploaded'
  | 'too_large'
  | 'refused'
  | 'no_key'
  | 'limited'
  | 'left_alone'
  | 'no_such_server'
  | 'address_refused'
  | 'unreachable'
  | 'untrusted'
  | 'timed_out'
  | 'failing'
  | 'broken'

interface Row {
  /** What the caller is answered; `http/errors.ts` has the status. */
  readonly answer: Reason
  /** Whether asking again soon would give the same, whoever asks. */
  readonly keep: boolean
  /** What callers are told. Addresses and the like stay in the log: they are nobody's business. */
  readonly told: string
}

/** THE table of what becomes of a file that cannot be had (docs/decisions/022). */
const TABLE: Readonly<Record<RemoteReason, Row>> = {
  not_found: { answer: 'not_found', keep: true, told: 'the remote server does not have this file' },
  not_yet_uploaded: { answer: 'not_yet_uploaded', keep: false, told: 'the file has not been uploaded yet' },
  too_large: { answer: 'remote_too_large', keep: true, told: 'the remote file is larger than this server fetches' },
  refused: { answer: 'not_found', keep: false, told: 'the remote server does not give this file to us' },
  no_key: {
    answer: 'not_found',
    keep: false,
    told: 'the remote server does not give this file to servers that do not sign their requests',
  },
  limited: { answer: 'origin_unavailable', keep: false, told: 'the remote server gets too many requests from us' },
  left_alone: {
    answer: 'origin_unavailable',
    keep: false,
    told: 'the remote server is left alone for a while; try again later',
  },
  no_such_server: { answer: 'origin_unavailable', keep: true, told: 'there is no such remote server' },
  address_refused: { answer: 'origin_unavailable', keep: true, told: 'the remote file is where we do not connect to' },
  unreachable: { answer: 'origin_unavailable', keep: false, told: 'the remote server cannot be reached' },
  untrusted: { answer: 'origin_unavailable', keep: true, told: 'the remote server cannot prove who it is' },
  timed_out: { answer: 'origin_timed_out', keep: false, told: 'the remote server takes too long' },
  failing: { answer: 'origin_unavailable', keep: false, told: 'the remote server reports an error of its own' },
  broken: { answer: 'origin_unavailable', keep: false, told: 'the remote server sends what cannot be understood' },
}

/** A file could not be had from its server. The message and the cause are for the log. */
export class RemoteMediaError extends Error {
  override readonly name = 'RemoteMediaError'
  readonly reason: RemoteReason
  /** How long the server asks to be left alone, or is left alone, in ms. */
  readonly retryAfterMs: number | undefined

  constructor(
    reason: RemoteReason,
    message: string,
    options: { readonly cause?: unknown; readonly retryAfterMs?: number | undefined } = {},
  ) {
    super(message, { cause: options.cause })
    this.reason = reason
    this.retryAfterMs = options.retryAfterMs
  }

  /** Whether asking again soon would give the same, whoever asks: worth `downloads.failureCacheMinutes`. */
  get isWorthKeeping(): boolean {
    return TABLE[this.reason].keep
  }
}

/** What whoever asked for the file is answered. */
export function refusalOf(error: RemoteMediaError): Refused {
  const { answer, told } = TABLE[error.reason]
  const { retryAfterMs } = error
  return new Refused(answer, told, { cause: error, ...(retryAfterMs !== undefined && { retryAfterMs }) })
}
