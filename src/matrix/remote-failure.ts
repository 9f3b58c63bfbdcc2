import { TooMuch } from '../lib/body.ts'
import { AddressRefused } from '../lib/connect.ts'
import { messagesOf } from '../lib/errors.ts'
import { LookupFailed } from '../lib/name-lookup.ts'
import { BadAddress } from '../lib/net.ts'
import { BreakerOpen } from './breaker.ts'
import { NotFound } from './discovery.ts'
import { BadMultipart } from './mixed.ts'
import { RemoteMediaError, type RemoteReason } from './remote-error.ts'

/** Whether the answer had begun: a connection that is lost before that is none, after that half a file. */
export type Phase = 'asking' | 'reading'

const TIMED_OUT = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'ETIMEDOUT'])
const NO_HTTP = /^(UND_ERR_HEADERS_OVERFLOW|UND_ERR_RES_)/
/** Codes of OpenSSL for certificates, and Node's own for the names in them. */
const CERTIFICATE = /^(CERT_|ERR_TLS_CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|INVALID_(CA|PURPOSE))/

/** What an error on the way to a file means. `doing` says what was being done, for the log. */
export function failureOf(error: unknown, phase: Phase, doing: string): RemoteMediaError {
  if (error instanceof RemoteMediaError) return error
  const options = { cause: error, ...(error instanceof BreakerOpen && { retryAfterMs: error.retryAfterMs }) }
  return new RemoteMediaError(reasonOf(error, phase), `${doing}: ${messagesOf(error).join(': ')}`, options)
}

function reasonOf(error: unknown, phase: Phase): RemoteReason {
  if (error instanceof BreakerOpen) return 'left_alone'
  if (error instanceof AddressRefused) return 'address_refused'
  if (error instanceof NotFound) return 'no_such_server'
  if (error instanceof LookupFailed) return error.temporary ? 'unreachable' : 'no_such_server'
  if (error instanceof TooMuch) return 'too_large'
  if (error instanceof BadAddress || error instanceof BadMultipart) return 'broken'
  return reasonOfCode(error) ?? reasonOfTargets(error) ?? (phase === 'asking' ? 'unreachable' : 'broken')
}

function reasonOfCode(error: unknown): RemoteReason | undefined {
  if (!(error instanceof Error)) return undefined
  // undici's own, for what is no HTTP: it has a name, and no code.
  if (error.name === 'HTTPParserError') return 'broken'
  const code = 'code' in error ? String(error.code) : ''
  if (TIMED_OUT.has(code)) return 'timed_out'
  if (CERTIFICATE.test(code)) return 'untrusted'
  return NO_HTTP.test(code) ? 'broken' : undefined
}

/** A server at several places that has failed at all of them in the same way has failed in that way. */
function reasonOfTargets(error: unknown): RemoteReason | undefined {
  if (!(error instanceof Error && error.cause instanceof AggregateError)) return undefined
  const [first, ...others] = error.cause.errors.map((one: unknown) => reasonOf(one, 'asking'))
  return others.every((reason) => reason === first) ? first : undefined
}
