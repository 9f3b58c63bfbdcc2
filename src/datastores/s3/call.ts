import { setTimeout as pause } from 'node:timers/promises'
import type { Bucket } from './bucket.ts'
import { codeOf, isPassing, regionIn, S3Failure } from './failure.ts'

/** One attempt: its signal ends it, and it ends by itself when nothing happens for as long as it was told. */
export interface Attempt {
  readonly signal: AbortSignal
  /** Something happened: the time starts anew. */
  readonly goesOn: () => void
  /** Ends the attempt for a reason of our own. */
  readonly fail: (reason: Error) => void
}

export interface CallOptions {
  /** For messages: `PutObject 3f9a…`. */
  readonly what: string
  /** Reads are given up sooner: somebody waits for the first byte. */
  readonly kind: 'read' | 'write'
  /** How long nothing may happen, in ms; the patience for an answer if not given. */
  readonly idleMs?: number
  /** Ends the call, and every attempt of it. */
  readonly signal?: AbortSignal
}

/**
 * Calls the service, again and again while that makes sense and time is left: each attempt starts from nothing, so whoever sends
 * a body makes a new stream of it. Throws an `S3Failure` about the last attempt; at once where the service is down for all calls.
 */
export async function call<T>(
  bucket: Bucket,
  options: CallOptions,
  attempt: (attempt: Attempt) => Promise<T>,
): Promise<T> {
  const { patience, parts, service } = bucket
  const until = parts.now() + (options.kind === 'read' ? patience.retryReadsMs : patience.retryWritesMs)
  for (let number = 1; ; number++) {
    const began = parts.now()
    try {
      const result = await attemptOnce(bucket, options, attempt)
      service.worked()
      return result
    } catch (error) {
      if (!options.signal?.aborted) service.failed(options, error, began)
      const elsewhere = number === 1 && movesTo(bucket, error)
      const waitMs = elsewhere ? 0 : backoff(bucket, number)
      const again = (elsewhere || isPassing(error)) && parts.now() + waitMs < until
      if (again) noteRetry(bucket, options, { error, number, waitMs })
      if (!again || !(await waited(bucket, options, waitMs))) {
        throw new S3Failure(describe(bucket, options.what), error, service.isDown)
      }
    }
  }
}

/** False, at once, where there is no point in waiting any more. */
async function waited({ service }: Bucket, { signal }: CallOptions, ms: number): Promise<boolean> {
  const stop = signal ? AbortSignal.any([service.giveUp, signal]) : service.giveUp
  return await pause(ms, true, { signal: stop }).catch(() => false)
}

interface Retry {
  readonly error: unknown
  readonly number: number
  readonly waitMs: number
}

/** An outage makes thousands of them: the first is told. */
function noteRetry({ datastore, parts, service }: Bucket, { what, signal }: CallOptions, retry: Retry): void {
  const { error, number, waitMs } = retry
  if (service.giveUp.aborted || signal?.aborted) return
  const about = { datastore, call: what, code: codeOf(error), attempt: number, waitMs: Math.round(waitMs) }
  parts.log[service.retried() ? 'warn' : 'debug'](about, 'a call to S3 failed; trying again')
}

export function describe(bucket: Bucket, what: string): string {
  return `datastore ${bucket.datastore}: ${what} in bucket ${bucket.options.bucket} at ${bucket.options.endpoint.host}`
}

async function attemptOnce<T>(
  { patience, service }: Bucket,
  { signal, idleMs = patience.answerMs }: CallOptions,
  attempt: (attempt: Attempt) => Promise<T>,
): Promise<T> {
  const ending = new AbortController()
  const hangs = () =>
    ending.abort(Object.assign(new Error(`nothing happened for ${idleMs} ms`), { code: 'TimeoutError' }))
  const timer = setTimeout(hangs, idleMs)
  const follow = () => ending.abort(signal?.reason)
  signal?.addEventListener('abort', follow)
  if (signal?.aborted) follow()
  service.began(ending)
  try {
    return await attempt({
      signal: ending.signal,
      fail: (reason) => ending.abort(reason),
      goesOn: () => void timer.refresh(),
    })
  } catch (error) {
    const reason: unknown = ending.signal.reason
    // A request that was refused before its body was sent still holds its connection; this ends it.
    ending.abort(error)
    throw reason ?? error
  } finally {
    clearTimeout(timer)
    service.ended(ending)
    signal?.removeEventListener('abort', follow)
  }
}

/** Full jitter, so that those who failed together do not come back together. */
function backoff({ patience, parts }: Bucket, attempt: number): number {
  return parts.random() * Math.min(patience.backoffAtMostMs, patience.backoffMs * 2 ** Math.min(attempt, 20))
}

/** Whether the service named another region, to be used from now on. */
function movesTo(bucket: Bucket, error: unknown): boolean {
  const region = regionIn(error)
  if (region === undefined || region === bucket.region || bucket.options.region !== undefined) return false
  bucket.parts.log.info({ datastore: bucket.datastore, region }, 'the bucket is in this region; opts.region can say so')
  bucket.region = region
  return true
}
