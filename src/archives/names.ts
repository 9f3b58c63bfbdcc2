import { Buffer } from 'node:buffer'
import { fileTypeFromBuffer } from 'file-type'
import type { Mxc } from '../matrix/ids.ts'

/** How many first bytes of a file tell its type. */
export const TELLING_BYTES = 4100

/** Counted from 1. */
export const partName = (index: number): string => `export-part-${index}.tgz`
export const MANIFEST_FILE = 'export-manifest.tgz'

/** MMR's name of a media's file: both halves of its MXC URI, and an extension that its bytes give. */
export async function entryName(mxc: Mxc, begin: Uint8Array): Promise<string> {
  return `${stemOf(mxc)}${await extensionOf(begin)}`
}

const stemOf = ({ origin, mediaId }: Mxc) => `${origin}__${mediaId}`

/** What browsers run when they open it from a disk, where nothing forbids it them; without an extension, some guess. */
const RUNNING: ReadonlySet<string> = new Set(['', '.svg', '.xml'])

/** Whether a browser may open a media's file from a disk without running what is in it. `fileName`: from `entryName`. */
export const isHarmlessFile = (fileName: string, mxc: Mxc): boolean => !RUNNING.has(fileName.slice(stemOf(mxc).length))

async function extensionOf(begin: Uint8Array): Promise<string> {
  const found = begin.length === 0 ? undefined : await fileTypeFromBuffer(begin)
  if (found) return found.ext === 'xml' && isSvg(begin) ? '.svg' : `.${found.ext}`
  return isText(begin) ? '.txt' : ''
}

const isSvg = (begin: Uint8Array) => /<svg[\s>]/.test(Buffer.from(begin).toString('latin1'))

/** No text has these in it. */
function isText(begin: Uint8Array): boolean {
  // oxlint-disable-next-line no-control-regex -- what no text has
  return begin.length > 0 && !/[\0-\x06\x0e-\x1a\x1c-\x1f]/.test(Buffer.from(begin).toString('latin1'))
}

/** Whether a name of a file in an archive can only be that of a file beside the others: no folder, nothing above, nothing invisible. */
export function isPlainName(name: string): boolean {
  // oxlint-disable-next-line no-control-regex -- what no name has
  return name.length <= 1024 && name !== '' && name !== '.' && name !== '..' && !/[/\\\0-\x1f\x7f]/.test(name)
}
