/** Text in charsets of old, for pages that are written in them: what TextDecoder reads, turned round. */

export type Charset =
  | 'utf-8'
  | 'utf-8 with BOM'
  | 'utf-16le with BOM'
  | 'utf-16be with BOM'
  | 'windows-1251'
  | 'windows-1252'
  | 'iso-8859-15'
  | 'shift_jis'
  | 'euc-jp'
  | 'gbk'
  | 'koi8-r'

const BOM = '\uFEFF'

/**
 * The text as bytes.
 *
 * @throws {Error} for a character that the charset does not have
 */
export function encode(text: string, charset: Charset): Buffer {
  if (charset === 'utf-8') return Buffer.from(text)
  if (charset === 'utf-8 with BOM') return Buffer.from(BOM + text)
  if (charset === 'utf-16le with BOM') return Buffer.from(BOM + text, 'utf16le')
  if (charset === 'utf-16be with BOM') return Buffer.from(BOM + text, 'utf16le').swap16()
  const table = tableOf(charset)
  return Buffer.concat(
    Array.from(text, (character) => {
      const bytes = table.get(character)
      if (!bytes) throw new Error(`${charset} has no ${character}`)
      return bytes
    }),
  )
}

const tables = new Map<Charset, ReadonlyMap<string, Buffer>>()

function tableOf(charset: Charset): ReadonlyMap<string, Buffer> {
  const known = tables.get(charset)
  if (known) return known
  const decoder = new TextDecoder(charset, { fatal: true })
  const table = new Map<string, Buffer>()
  const add = (...bytes: readonly number[]): boolean => {
    const encoded = Buffer.from(bytes)
    const character = characterOf(decoder, encoded)
    if (character !== undefined && !table.has(character)) table.set(character, encoded)
    return character !== undefined
  }
  for (let first = 0; first < 256; first++) {
    if (add(first)) continue
    for (let second = 0x40; second < 256; second++) add(first, second)
  }
  tables.set(charset, table)
  return table
}

/** The one character that these bytes are, if they are one. */
function characterOf(decoder: InstanceType<typeof TextDecoder>, bytes: Buffer): string | undefined {
  try {
    const [character, ...others] = decoder.decode(bytes)
    return others.length === 0 ? character : undefined
  } catch {
    return undefined
  }
}
