import { closeSync, openSync, readSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { fileTypeFromBuffer, fileTypeFromFile } from 'file-type'

const SNIFFED_BYTES = 4096

/**
 * The type of a file as its bytes tell it; undefined when they tell nothing. What its sender called it is not asked.
 */
export async function sniff(path: string): Promise<string | undefined> {
  if (isJpeg(path)) return 'image/jpeg'
  const type = await fileTypeFromFile(path)
  // file-type knows what begins with bytes of its own. SVG is text.
  if (type && type.mime !== 'application/xml') return type.mime
  return isSvg(await firstText(path)) ? 'image/svg+xml' : type?.mime
}

/** The same of the first bytes of a file that is still on its way. */
export async function sniffBegin(begin: Buffer): Promise<string | undefined> {
  const type = await fileTypeFromBuffer(begin)
  if (type && type.mime !== 'application/xml') return type.mime
  return isSvg(begin.toString('utf8', 0, SNIFFED_BYTES)) ? 'image/svg+xml' : type?.mime
}

/** What may stand before the first element: space, declarations and instructions, comments, a document type. */
const PROLOG = /^(?:\s+|<\?[^>]*\?>|<!--[^]*?-->|<!DOCTYPE\s[^[>]*(?:\[[^\]]*\]\s*)?>)/i

/** Whether a document's first element is `svg`. Source: SVG 2, XML 1.0 section 2.8. */
export function isSvg(text: string): boolean {
  let rest = text.replace(/^\uFEFF/, '')
  for (let found = PROLOG.exec(rest); found; found = PROLOG.exec(rest)) rest = rest.slice(found[0].length)
  return /^<(?:[\w-]+:)?svg[\s/>]/.test(rest)
}

/** Most pictures are, and their first bytes say it; the library opens and reads in steps, each a way to another thread and back. */
function isJpeg(path: string): boolean {
  const file = openSync(path, 'r')
  try {
    const begin = Buffer.alloc(4)
    readSync(file, begin, 0, begin.length, 0)
    // F7 would be JPEG-LS.
    return begin.readUIntBE(0, 3) === 0xff_d8_ff && begin[3] !== 0xf7
  } finally {
    closeSync(file)
  }
}

async function firstText(path: string): Promise<string> {
  await using file = await open(path)
  const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(SNIFFED_BYTES) })
  return buffer.toString('utf8', 0, bytesRead)
}
