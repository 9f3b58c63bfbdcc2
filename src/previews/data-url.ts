/** Percent-encoding takes three characters for a byte, Base64 four for three, and up to four for each where that is encoded too. */
const CHARACTERS_A_BYTE = 4
const AROUND = 16

/**
 * The bytes of a `data:` address (RFC 2397), as browsers read it; what it says of its type is not asked. Undefined if it is none
 * or holds more than `maxBytes`; of one that is longer than that could be nothing is decoded.
 */
export function dataOf({ protocol, href }: URL, maxBytes: number): Buffer | undefined {
  const comma = href.indexOf(',')
  if (protocol !== 'data:' || comma < 0 || href.length - comma > maxBytes * CHARACTERS_A_BYTE + AROUND) return undefined
  const isBase64 = /;\s*base64\s*$/i.test(href.slice(0, comma))
  const end = href.indexOf('#', comma)
  const bytes = percentDecoded(href.slice(comma + 1, end < 0 ? undefined : end))
  const data = isBase64 ? Buffer.from(bytes.toString('latin1'), 'base64') : bytes
  return data.length > maxBytes ? undefined : data
}

function percentDecoded(text: string): Buffer {
  return Buffer.from(text.replaceAll(/%([0-9a-f]{2})/gi, decodedByte), 'latin1')
}

function decodedByte(_: string, hex: string): string {
  return String.fromCharCode(Number.parseInt(hex, 16))
}
