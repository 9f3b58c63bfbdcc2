import type { IncomingHttpHeaders } from 'node:http'
import type { ByteRange } from '../datastores/datastore.ts'

/** Conditions that proxies judge by the file's date, or by an ETag of their own. We send neither date nor such an ETag. */
const BY_DATE = ['if-match', 'if-modified-since', 'if-unmodified-since'] as const

/**
 * Whether a proxy that is given the file answers the request as we would. `range` is what we made of the `Range` header:
 * several ranges at once get the whole file from us, and a multipart answer from most proxies.
 */
export function proxyAnswersAlike(headers: IncomingHttpHeaders, range: ByteRange | undefined, etag: string): boolean {
  if (BY_DATE.some((name) => headers[name] !== undefined)) return false
  if (headers['if-range'] !== undefined && headers['if-range'] !== etag) return false
  return headers.range === undefined || range !== undefined
}
