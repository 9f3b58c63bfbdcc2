import { CallerGone, Refused, StorageUnavailable } from '../lib/errors.ts'
import { ObjectMissing } from './datastore.ts'
import { S3Failure } from './s3/failure.ts'

/** What a failure says about a datastore: that it takes nothing more, or that it cannot be used. */
export type Outage = 'full' | 'down'

/** Codes of the operating system, and names and codes of S3, that mean "no room". A file system's limit on files is one too. */
const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG', 'QuotaExceeded', 'XMinioStorageFull', 'InsufficientStorage'])

/** Failures of one name or of our own process, which say nothing about the datastore: too long, a loop, too many open files. */
const OF_THE_CALL = new Set(['ENAMETOOLONG', 'ELOOP', 'EMFILE', 'ENFILE', 'ENOMEM'])

/** Errors of S3 clients that carry neither a code nor an answer. */
const TIMEOUTS = new Set(['TimeoutError', 'RequestTimeout', 'NetworkingError', 'CredentialsProviderError'])

export const UNREACHABLE = 'the storage cannot be used at the moment; please try again'
const NO_ROOM = 'the storage is full at the moment; nothing more can be stored'

/** What an error of a datastore says about it; undefined for what is no outage: a refusal, a missing object, a defect. */
export function outageOf(error: unknown): Outage | undefined {
  if (!(error instanceof Error) || isForeseen(error)) return undefined
  if (error instanceof StorageUnavailable) return outageOf(error.cause) ?? 'down'
  // Of our own making while the call was prepared: a defect.
  if (error instanceof S3Failure && error.cause instanceof TypeError) return undefined
  const { code, name, $metadata: answer } = error as Error & { code?: unknown; $metadata?: { httpStatusCode?: number } }
  const status = error instanceof S3Failure ? error.status : answer?.httpStatusCode
  if (FULL.has(String(code)) || FULL.has(name) || status === 507) return 'full'
  if (error instanceof S3Failure || answer !== undefined || TIMEOUTS.has(name)) return 'down'
  return isSystemCode(code) && !OF_THE_CALL.has(code) ? 'down' : undefined
}

/** Whether the datastore found out that it is down for all calls: none needs to find out for itself. */
export function isOfAll(error: unknown): boolean {
  return error instanceof S3Failure && error.isServiceDown
}

/** The error as callers of a datastore see it: an outage as `StorageUnavailable`, everything else as it is. */
export function asUnavailable(error: unknown): unknown {
  if (error instanceof StorageUnavailable) return error
  const outage = outageOf(error)
  if (outage === 'full') return new StorageUnavailable(NO_ROOM, { cause: error })
  if (outage === 'down' || isOfTheCall(error)) return new StorageUnavailable(UNREACHABLE, { cause: error })
  return error
}

function isForeseen(error: Error): boolean {
  return [ObjectMissing, Refused, CallerGone].some((foreseen) => error instanceof foreseen)
}

function isOfTheCall(error: unknown): boolean {
  return error instanceof Error && OF_THE_CALL.has(String((error as NodeJS.ErrnoException).code))
}

/** `EIO`, `EACCES`, `ECONNREFUSED`: but not Node's own `ERR_…`, which are mistakes in the program. */
function isSystemCode(code: unknown): code is string {
  return typeof code === 'string' && /^E(AI_)?[A-Z0-9]+$/.test(code)
}
