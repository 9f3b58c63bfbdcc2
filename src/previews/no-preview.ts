import { TooMuch, UnknownCoding } from '../lib/body.ts'
import { AddressRefused } from '../lib/connect.ts'
import { Refused } from '../lib/errors.ts'
import { LookupFailed } from '../lib/name-lookup.ts'
import { BadAddress } from '../lib/net.ts'
import { HostRests } from './turns.ts'

/** Why an address gives nothing, for logs and metrics. */
export type NoPreviewReason =
  /** `urlPreviews.disallowedUrls`, of the address or where it redirects to. */
  | 'url_disallowed'
  /** `urlPreviews.allowedNetworks`, `disallowedNetworks`. */
  | 'network_disallowed'
  | 'no_such_host'
  | 'unreachable'
  /** Its certificate cannot be verified. */
  | 'untrusted'
  | 'timed_out'
  /** It redirects too far, in a circle, or to what is no web page. */
  | 'redirects'
  /** Its status is that of an error. */
  | 'status'
  /** The site has asked us to come later. */
  | 'left_alone'
  | 'too_large'
  /** It is no HTTP, or compressed in an unknown way. */
  | 'broken'

/**
 * An address cannot be previewed. Callers are told the same whatever the reason is: from it they could learn what there is in
 * the network that this server is in. The cause says what happened.
 */
export class NoPreview extends Refused {
  readonly why: NoPreviewReason

  constructor(why: NoPreviewReason, cause: unknown) {
    super('not_found', 'There is no preview of this address', { cause })
    this.why = why
  }
}

const TIMED_OUT = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'ETIMEDOUT'])
const NO_HTTP = /^(UND_ERR_HEADERS_OVERFLOW|UND_ERR_RES_|HPE_)/
/** Codes of OpenSSL for certificates, and Node's own for the names in them. */
const CERTIFICATE = /^(CERT_|ERR_TLS_CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|INVALID_(CA|PURPOSE))/

/** What an error on the way to an address means. Those that are for the caller stay as they are. */
export function asNoPreview(error: unknown): unknown {
  return error instanceof Refused || !(error instanceof Error) ? error : new NoPreview(reasonOf(error), error)
}

function reasonOf(error: Error): NoPreviewReason {
  if (error instanceof AddressRefused) return 'network_disallowed'
  if (error instanceof BadAddress) return 'redirects'
  if (error instanceof LookupFailed) return error.temporary ? 'unreachable' : 'no_such_host'
  if (error instanceof HostRests) return 'left_alone'
  if (error instanceof TooMuch) return 'too_large'
  if (error instanceof UnknownCoding || error.name === 'HTTPParserError') return 'broken'
  if (error.name === 'TimeoutError') return 'timed_out'
  const code = 'code' in error ? String(error.code) : ''
  if (TIMED_OUT.has(code)) return 'timed_out'
  if (CERTIFICATE.test(code)) return 'untrusted'
  return NO_HTTP.test(code) ? 'broken' : 'unreachable'
}
