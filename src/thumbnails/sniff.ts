import { closeSync, openSync, readSync } from 'node:fs'
import { open } from 'node:fs/promises'

const SNIFFED_BYTES = 4096
/** Loaded by those who sniff: servers that make no previews are to stay small. */
const fileTypes = () => import('file-type')

/**
 * The type of a file as its bytes tell it; undefined when they tell nothing. What its sender called it is not asked.
 */
export async function sniff(path: string): Promise<string | undefined> {
  const common = commonType(path)
  if (common) return common
  const { fileTypeFromFile } = await fileTypes()
  const type = await fileTypeFromFile(path)
  // file-type knows what begins with bytes of its own. SVG is text.
  if (type && type.mime !== 'application/xml') return type.mime
  return isSvg(await firstText(path)) ? 'image/svg+xml' : type?.mime
}

/** The same of the first bytes of a file that is still on its way. */
export async function sniffBegin(begin: Buffer): Promise<string | undefined> {
  const { fileTypeFromBuffer } = await fileTypes()
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

/**
 * The type of what begins like a JPEG or PNG, as most pictures do, where its first bytes say it; undefined leaves it to the
 * library, which opens and reads in steps, each a way to another thread and back.
 */
function commonType(path: string): string | undefined {
  const file = openSync(path, 'r')
  try {
    const begin = Buffer.alloc(SNIFFED_BYTES)
    const length = readSync(file, begin, 0, begin.length, 0)
    if (begin.subarray(0, PNG_SIGNATURE.length).equals(PNG_SIGNATURE)) return pngType(begin.subarray(0, length))
    // F7 would be JPEG-LS.
    return begin.readUIntBE(0, 3) === 0xff_d8_ff && begin[3] !== 0xf7 ? 'image/jpeg' : undefined
  } finally {
    closeSync(file)
  }
}

const PNG_SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex')

/** An animation says so before the first picture data. Source: PNG specification, third edition, 11.3.6.2. */
function pngType(begin: Buffer): string | undefined {
  for (let at = PNG_SIGNATURE.length; at + 8 <= begin.length; at += 12 + begin.readUInt32BE(at)) {
    const chunk = begin.toString('latin1', at + 4, at + 8)
    if (chunk === 'IDAT') return 'image/png'
    if (chunk === 'acTL') return 'image/apng'
  }
  return undefined
}

async function firstText(path: string): Promise<string> {
  await using file = await open(path)
  const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(SNIFFED_BYTES) })
  return buffer.toString('utf8', 0, bytesRead)
}
