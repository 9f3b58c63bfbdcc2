/**
 * What can go wrong on purpose. Use-cases throw these; `http/errors.ts` is the one place that turns a reason into a status
 * and a Matrix errcode, and everything that is not one of these is a defect: logged with its stack, answered 500.
 */
import { inspect } from 'node:util'

/** Why a caller does not get what it asked for. Each has one line in the table of `http/errors.ts`. */
export type Reason =
  | 'missing_token'
  | 'unknown_token'
  | 'guest'
  | 'server_unauthorized'
  | 'server_keys_unavailable'
  | 'forbidden'
  | 'not_found'
  | 'quarantined'
  | 'blocked_host'
  | 'authentication_needed'
  | 'wrong_domain'
  | 'unrecognized'
  | 'wrong_method'
  | 'unknown_host'
  | 'bad_parameter'
  | 'missing_parameter'
  | 'bad_request'
  | 'not_yet_uploaded'
  | 'already_uploaded'
  | 'too_large'
  | 'too_small'
  | 'length_mismatch'
  | 'over_quota'
  | 'over_user_limit'
  | 'multipart_refused'
  | 'limited'
  | 'range_not_satisfiable'
  | 'not_thumbnailable'
  | 'leads_back'
  | 'homeserver_unavailable'
  | 'origin_unavailable'
  | 'origin_timed_out'
  | 'remote_too_large'
  | 'storage_unavailable'

export interface RefusalOptions {
  readonly cause?: unknown
  /** When trying again makes sense, in ms from now: sent as `Retry-After` and `retry_after_ms`. */
  readonly retryAfterMs?: number
  /** For `range_not_satisfiable`: the `Content-Range` that says what there is. */
  readonly contentRange?: string
  /** For `wrong_method`: the methods that there are. */
  readonly allow?: readonly string[]
  /** Further members of the JSON body, such as `soft_logout`. */
  readonly fields?: Readonly<Record<string, unknown>>
}

/** A request is refused for a reason its sender can understand. */
export class Refused extends Error {
  override readonly name = 'Refused'
  readonly reason: Reason
  readonly options: RefusalOptions

  constructor(reason: Reason, message: string, options: RefusalOptions = {}) {
    super(message, { cause: options.cause })
    this.reason = reason
    this.options = options
  }
}

/** The homeserver refused the caller; its answer is passed on as it is (M_USER_LOCKED, soft_logout, …). */
export class RefusedByHomeserver extends Error {
  override readonly name = 'RefusedByHomeserver'
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>

  constructor(status: number, body: Readonly<Record<string, unknown>>) {
    super(`the homeserver answered ${status} ${String(body['errcode'])}`)
    this.status = status
    this.body = body
  }
}

const TRY_AGAIN_MS = 5000

/**
 * A part that the server needs cannot be used at the moment. Nobody's mistake and no defect: answered 503 with `Retry-After`,
 * told once by whoever watches the part, and over without a restart. The message is for callers; what happened is the cause.
 */
export abstract class Unavailable extends Error {
  /** When trying again makes sense, in ms from now. */
  readonly retryAfterMs: number

  constructor(message: string, options: { readonly cause?: unknown; readonly retryAfterMs?: number } = {}) {
    super(message, { cause: options.cause })
    this.retryAfterMs = options.retryAfterMs ?? TRY_AGAIN_MS
  }
}

/** A datastore cannot be used at the moment. Says nothing about the objects in it. */
export class StorageUnavailable extends Unavailable {
  override readonly name = 'StorageUnavailable'
}

/** A gate that files have to pass before they are stored cannot judge at the moment. */
export class GateUnavailable extends Unavailable {
  override readonly name = 'GateUnavailable'
}

/** The database cannot be used at the moment. */
export class DatabaseUnavailable extends Unavailable {
  override readonly name = 'DatabaseUnavailable'
  /** The connection was lost under a commit: the server may have made it, or may still make it. */
  readonly mayCommit: boolean

  constructor(message: string, options: { readonly cause?: unknown; readonly mayCommit?: boolean } = {}) {
    super(message, options)
    this.mayCommit = options.mayCommit ?? false
  }
}

/** The caller went away; nobody is left to answer. Not a defect, not logged as one. */
export class CallerGone extends Error {
  override readonly name = 'CallerGone'
}

interface ConfigErrorOptions {
  readonly cause?: unknown
  readonly warnings?: readonly string[]
  readonly mayPass?: boolean
}

/**
 * The configuration cannot be used. `problems` has one line each, with file, line and path where they are known; `warnings` what was
 * noticed beside them. With `mayPass` the configuration may be right: what it names cannot be had at the moment.
 */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly string[]
  readonly warnings: readonly string[]
  readonly mayPass: boolean

  constructor(problems: readonly string[], { cause, warnings = [], mayPass = false }: ConfigErrorOptions = {}) {
    super(problems.join('\n'), { cause })
    this.problems = problems
    this.warnings = warnings
    this.mayPass = mayPass
  }
}

/** The disk is full, or whoever we are may not write there: it says nothing about the file, and the next one would fare no better. */
export const isUnwritable = (error: unknown): boolean =>
  ['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')

/**
 * What happened, for administrators: the messages of an error and of its causes, the outermost first, without those that are
 * meant for callers, and those that another one repeats.
 */
export function messagesOf(error: unknown): readonly string[] {
  if (error instanceof AggregateError) return error.errors.flatMap(messagesOf)
  if (!(error instanceof Error)) return error === undefined ? [] : [inspect(error)]
  const causes = messagesOf(error.cause).filter((message) => !error.message.includes(message))
  return error instanceof Unavailable && causes.length > 0 ? causes : [error.message, ...causes]
}
