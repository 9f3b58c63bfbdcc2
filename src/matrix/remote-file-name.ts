import { Buffer } from 'node:buffer'
import { decodeExtended, parse } from 'content-disposition'
import { bareFileName } from '../lib/file-name.ts'

const LONGEST_HEADER = 8 * 1024
const LONGEST_NAME = 255
/** Up to the last quote before a semicolon or the end: some servers do not escape the quotes within a name. */
const QUOTED = /;\s*filename\s*=\s*"((?:\\.|[^\\])*?)"\s*(?:;|$)/is

/**
 * The file's name in a `Content-Disposition` header, null if there is none. `filename*` counts before `filename`, in which percent
 * signs are just that (RFC 6266, 8187). Without folders and control characters; cut after 255 characters.
 */
export function fileNameIn(header: string | undefined): string | null {
  if (header === undefined || header.length > LONGEST_HEADER) return null
  // Some servers leave out what comes before the name.
  const whole = /^\s*filename\*?\s*=/i.test(header) ? `attachment; ${header}` : header
  const { filename, 'filename*': extended } = parse(whole, { extended: false }).parameters
  const quoted = QUOTED.exec(whole)?.[1]?.replaceAll(/\\(.)/gs, '$1')
  const name = (extended === undefined ? undefined : decodeExtended(extended)) ?? quoted ?? filename
  return name === undefined ? null : (bareFileName(name)?.slice(0, LONGEST_NAME).toWellFormed() ?? null)
}

/** A header's value as it was meant: HTTP hands bytes over as Latin-1, and servers send UTF-8. */
export function headerText(value: string): string {
  // oxlint-disable-next-line no-control-regex -- all of ASCII
  if (/^[\0-\x7f]*$/.test(value)) return value
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(value, 'latin1'))
  } catch {
    return value
  }
}
