import { readFile } from 'node:fs/promises'
import { decodeBase64, SEED_BYTES, seedOf, type SigningKey, signingKey, unpadded } from './signing-key.ts'

/** Whose files hold a key: each program writes its own kind, Cellarium reads and writes all of them. */
export const KEY_FORMATS = ['mmr', 'synapse', 'dendrite'] as const
export type KeyFormat = (typeof KEY_FORMATS)[number]

/** A file that should hold signing keys and does not. The message names it, and never what is in it. */
export class KeyFileError extends Error {
  override readonly name = 'KeyFileError'
  /** Whether it cannot be read at all, or not understood. */
  readonly why: 'missing' | 'unreadable' | 'unusable'

  constructor(message: string, options: { readonly why?: KeyFileError['why']; readonly cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.why = options.why ?? 'unusable'
  }
}

const EXPECTED =
  'expected lines like "ed25519 a_AbCd <key in base64>" (Synapse), or blocks "-----BEGIN MATRIX PRIVATE KEY-----" (Dendrite) or "-----BEGIN MMR PRIVATE KEY-----"'
const VERSION = /^[\w.+/=~-]{1,100}$/
const LARGEST = 1024 * 1024
const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----\n([^]*?)-----END \1-----(?:\n|$)/y
const BLOCK_TYPES: readonly string[] = ['MMR PRIVATE KEY', 'MATRIX PRIVATE KEY']

/**
 * The keys in a file of MMR, Synapse or Dendrite, told apart by its content, in the file's order: the first one signs. Blank lines
 * and CRLF do not matter.
 *
 * @throws {KeyFileError} when the file cannot be read, holds something else, no key, or two of the same version
 */
export async function readKeyFile(file: string): Promise<readonly [SigningKey, ...SigningKey[]]> {
  return parseKeys(await readText(file), file)
}

/** The same for a file's text; `file` is what messages call it. */
export function parseKeys(text: string, file: string): readonly [SigningKey, ...SigningKey[]] {
  const lines = text.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n')
  const [first, ...more] = lines.includes('-----BEGIN') ? pemKeys(lines, file) : lineKeys(lines, file)
  if (!first) throw new KeyFileError(`${file} holds no key: ${EXPECTED}`)
  const versions = new Set<string>()
  for (const { id, version } of [first, ...more]) {
    if (versions.has(version))
      throw new KeyFileError(`${file} has two keys called ${id}: each needs a version of its own`)
    versions.add(version)
  }
  return [first, ...more]
}

/** The text of a file with these keys, byte for byte as MMR's tools write it. */
export function formatKeys(keys: readonly SigningKey[], format: KeyFormat): string {
  if (format === 'synapse') return keys.map((key) => `ed25519 ${key.version} ${unpadded(seedOf(key))}`).join('\n')
  return keys.map((key) => pemBlock(key, format)).join('')
}

function pemBlock(key: SigningKey, format: 'mmr' | 'dendrite'): string {
  const type = format === 'mmr' ? 'MMR PRIVATE KEY' : 'MATRIX PRIVATE KEY'
  const headers = [`Key-ID: ${key.id}`, ...(format === 'mmr' ? ['Version: 1'] : [])]
  const lines = [`-----BEGIN ${type}-----`, ...headers, '', seedOf(key).toString('base64'), `-----END ${type}-----`]
  return `${lines.join('\n')}\n`
}

async function readText(file: string): Promise<string> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    throw unreadable(file, cause)
  }
  if (text.length > LARGEST) throw new KeyFileError(`${file} is no file of signing keys: it is too large for one`)
  return text
}

function unreadable(file: string, cause: unknown): KeyFileError {
  const { code, message } = cause as NodeJS.ErrnoException
  if (code === 'ENOENT') return new KeyFileError(`${file} does not exist`, { why: 'missing', cause })
  if (code === 'EACCES') return new KeyFileError(`${file} may not be read by this user`, { why: 'unreadable', cause })
  return new KeyFileError(`${file} ${code === 'EISDIR' ? 'is a folder' : `cannot be read: ${message}`}`, { cause })
}

function lineKeys(text: string, file: string): SigningKey[] {
  const keys: SigningKey[] = []
  for (const [index, line] of text.split('\n').entries()) {
    const place = `${file}, line ${index + 1}`
    const [algorithm, version = '', base64 = '', ...more] = line.trim().split(/\s+/)
    if (algorithm === '') continue
    if (algorithm !== 'ed25519' || base64 === '' || more.length > 0) throw new KeyFileError(`${place}: ${EXPECTED}`)
    keys.push(keyOf(version, base64, place))
  }
  return keys
}

function pemKeys(text: string, file: string): SigningKey[] {
  const keys: SigningKey[] = []
  let at = skipBlank(text, 0)
  while (at < text.length) {
    BLOCK.lastIndex = at
    const [whole, type = '', content = ''] = BLOCK.exec(text) ?? []
    const place = `${file}, line ${text.slice(0, at).split('\n').length}`
    if (whole === undefined)
      throw new KeyFileError(`${place}: a block that is not complete, or something between blocks; ${EXPECTED}`)
    if (!BLOCK_TYPES.includes(type)) throw new KeyFileError(`${place}: a block "${type}"; ${EXPECTED}`)
    keys.push(blockKey(content, place))
    at = skipBlank(text, at + whole.length)
  }
  return keys
}

function blockKey(content: string, place: string): SigningKey {
  const [headers = '', body] = content.split(/\n[ \t]*\n/, 2)
  const id = /^Key-ID:[ \t]*(.*?)[ \t]*$/im.exec(headers)?.[1]
  if (id === undefined || body === undefined) {
    throw new KeyFileError(`${place}: a block without a line "Key-ID: ed25519:<version>" and a blank line after it`)
  }
  if (!id.startsWith('ed25519:')) throw new KeyFileError(`${place}: the Key-ID has to begin with "ed25519:"`)
  return keyOf(id.slice('ed25519:'.length), body.replace(/\s+/g, ''), place)
}

function keyOf(version: string, base64: string, place: string): SigningKey {
  if (!VERSION.test(version))
    throw new KeyFileError(`${place}: the version of the key has to be letters, digits and "_"`)
  const seed = decodeBase64(base64)
  if (seed?.length !== SEED_BYTES) throw new KeyFileError(`${place}: the key has to be ${SEED_BYTES} bytes in base64`)
  return signingKey(version, seed)
}

function skipBlank(text: string, from: number): number {
  const blank = /\s*/y
  blank.lastIndex = from
  blank.exec(text)
  return blank.lastIndex
}
