import type { Buffer } from 'node:buffer'
import { matchesGlob } from '../lib/glob.ts'
import { textOf } from './bodies.ts'
import type { Source } from './preview.ts'

/** What a file is. */
export interface FileType {
  /** Lower case, without parameters. */
  readonly contentType: string
  /** Of a file that is text. */
  readonly text?: string
}

/** What bytes that are no text would have told if they were it: nobody's word is taken for these. */
const KNOWN_BY_BYTES = /^(?:image|video|audio|font)\/|^application\/(?:pdf|zip|gzip|x-7z-compressed)$/
/** Declared types of text that say more than the text does. */
const TEXTUAL = /^text\/|^application\/(?:[\w.-]+\+)?(?:json|xml|yaml|javascript|x-sh|toml)$/
const UNKNOWN = 'application/octet-stream'

/**
 * What a file is, as its first bytes tell. Of text they tell no more than that, so that there its site's word counts, as it does for
 * what nothing can be told of.
 */
export async function fileTypeOf(
  { sniffBegin }: { readonly sniffBegin: (begin: Buffer) => Promise<string | undefined> },
  source: Pick<Source, 'contentType' | 'charset'>,
  begin: Buffer,
): Promise<FileType> {
  const sniffed = await sniffBegin(begin)
  if (sniffed !== undefined && sniffed !== 'application/xml') return { contentType: withoutParameters(sniffed) }
  const text = isText(begin) ? textOf(begin, source.charset) : undefined
  const declared = source.contentType
  if (text !== undefined) return { contentType: TEXTUAL.test(declared) ? declared : (sniffed ?? 'text/plain'), text }
  return {
    contentType: declared === '' || KNOWN_BY_BYTES.test(declared) || TEXTUAL.test(declared) ? UNKNOWN : declared,
  }
}

/** Whether a type is one of a list of globs: one that fits is enough. */
export function isListed(contentType: string, globs: readonly string[]): boolean {
  return globs.some((glob) => matchesGlob(glob.trim().toLowerCase(), contentType))
}

function withoutParameters(contentType: string): string {
  return (contentType.split(';', 1)[0] ?? '').trim().toLowerCase()
}

/** No text has a NUL in it, but in UTF-16. */
function isText(begin: Buffer): boolean {
  if (begin.length === 0) return false
  const isWide = (begin[0] === 0xff && begin[1] === 0xfe) || (begin[0] === 0xfe && begin[1] === 0xff)
  // oxlint-disable-next-line no-control-regex -- what no text has
  return isWide || !/[\0-\x06\x0e-\x1a\x1c-\x1f]/.test(begin.toString('latin1'))
}
