import { create } from 'content-disposition'
import type { FileAnswer } from './answers.ts'
import { fittingFileName } from '../lib/file-name.ts'
import { inlineType } from '../lib/inline-types.ts'

/** What every answer carries. Sources: specification, "Web browser clients" and "Content repository"; Synapse's practice. */
export const COMMON_HEADERS: readonly string[] = pairs({
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Allow-Methods': 'GET, HEAD, POST, PUT, DELETE, OPTIONS',
  'Access-Control-Allow-Headers':
    'Origin, X-Requested-With, Content-Type, Accept, Authorization, Date, Range, If-Range, If-None-Match',
  'Access-Control-Expose-Headers':
    'Content-Disposition, Content-Length, Content-Range, Accept-Ranges, ETag, Link, Retry-After, X-Request-Id',
  'Content-Security-Policy':
    "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; media-src 'self'; object-src 'self';",
  'X-Content-Security-Policy': 'sandbox;',
  'Cross-Origin-Resource-Policy': 'cross-origin',
  'X-Content-Type-Options': 'nosniff',
  'X-Robots-Tag': 'noindex, nofollow, noarchive, noimageindex',
  'Referrer-Policy': 'no-referrer',
  Server: 'Cellarium',
})

/** The same, with another `Content-Security-Policy`. */
export function withPolicy(policy: string): readonly string[] {
  const names = COMMON_HEADERS.flatMap((name, index) =>
    index % 2 === 0 ? [[name, COMMON_HEADERS[index + 1] ?? '']] : [],
  )
  const others = names.filter(([name = '']) => !name.endsWith('Content-Security-Policy'))
  return [...others.flat(), 'Content-Security-Policy', policy]
}

/** Three days, as MMR. Content under a media id never changes; shared caches must not hold what may need authentication. */
export const MEDIA_CACHE_CONTROL = 'private, max-age=259200, immutable'

function pairs(headers: Readonly<Record<string, string>>): string[] {
  return Object.entries(headers).flat()
}

/** Whether a browser may show this type in place, by type and subtype alone. */
export function dispositionOf(contentType: string): 'inline' | 'attachment' {
  return inlineType(contentType) === undefined ? 'attachment' : 'inline'
}

/** Text that was uploaded without saying its charset; nearly all of it is UTF-8, and `nosniff` keeps browsers from guessing. */
const TEXT_TYPES: ReadonlySet<string> = new Set([
  'text/css',
  'text/csv',
  'text/html',
  'text/calendar',
  'text/plain',
  'text/javascript',
  'text/xml',
  'application/json',
  'application/ld+json',
  'application/rtf',
  'image/svg+xml',
])

/** The type to answer with: the uploaded one, with `charset=UTF-8` where it is bare text. Source: MSC2701. */
function servedType(contentType: string): string {
  return TEXT_TYPES.has(contentType) ? `${contentType}; charset=UTF-8` : contentType
}

/** How a file looks to who gets it, whoever sends it. */
export function presentedOf({ contentType, fileName, disposition: type, cacheControl = MEDIA_CACHE_CONTROL }: Named) {
  return {
    contentType: servedType(contentType),
    disposition: fileName === null ? type : create(fittingFileName(fileName), { type, fallback: false }),
    cacheControl,
  }
}

type Named = Pick<FileAnswer, 'contentType' | 'fileName' | 'disposition' | 'cacheControl'>

/** What a file is answered with, whichever part of it, and whoever sends the bytes. */
export function fileHeaders(file: Named & Pick<FileAnswer, 'vary'>): string[] {
  const { contentType, disposition, cacheControl } = presentedOf(file)
  return [
    ...COMMON_HEADERS,
    'Content-Type',
    contentType,
    'Content-Disposition',
    disposition,
    'Cache-Control',
    cacheControl,
    ...varyHeader(file),
  ]
}

/** Tells caches which request header decides what is answered, where one does. */
export function varyHeader({ vary }: Pick<FileAnswer, 'vary'>): readonly string[] {
  return vary ? ['Vary', vary] : []
}
