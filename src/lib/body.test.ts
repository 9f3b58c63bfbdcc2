import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync, constants } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type BodyOptions, boundedBody, TooMuch, UnknownCoding } from './body.ts'

interface Sent {
  readonly body: Readable
  /** How many bytes were taken of it. */
  readonly taken: () => number
}

/** A body that comes in chunks of so many bytes, and then ends, fails, or goes on for ever. */
function sending(bytes: Uint8Array, { chunk = 1000, fails = false, repeats = false } = {}): Sent {
  let taken = 0
  const body = Readable.from(
    (function* () {
      for (let round = 0; round < (repeats ? Infinity : 1); round++) {
        for (let at = 0; at < bytes.length; at += chunk) {
          const part = bytes.subarray(at, at + chunk)
          taken += part.length
          yield part
        }
      }
      if (fails) throw new Error('the connection was lost')
    })(),
    { objectMode: false },
  )
  return { body, taken: () => taken }
}

async function read({ body }: Sent, coding: string | undefined, options: Partial<BodyOptions> = {}): Promise<Buffer> {
  const headers = { 'content-encoding': coding }
  const bounded = boundedBody(body, headers, { bodyBytes: 1_000_000, decode: true, ...options })
  return Buffer.concat(await bounded.toArray())
}

const compressed = {
  gzip: gzipSync,
  'x-gzip': gzipSync,
  deflate: deflateSync,
  ' Deflate ': deflateRawSync,
  br: brotliCompressSync,
  zstd: zstdCompressSync,
  'identity, GZIP': gzipSync,
} as const
const codings = Object.entries(compressed)
const incompressible = (length: number) => createHash('shake256', { outputLength: length }).digest()
const bomb = Buffer.alloc(20_000_000)
const text = Buffer.from('A page that has something to say. '.repeat(1000))

describe.each(codings)('A body that is sent as %s', (coding, compress) => {
  test('is given as it was', async () => {
    for (const chunk of [1, 7, 100_000]) expect(await read(sending(compress(text), { chunk }), coding)).toEqual(text)
  })

  test('is given compressed to who wants it so', async () => {
    expect(await read(sending(compress(text)), coding, { decode: false })).toEqual(compress(text))
  })

  test('may have so many bytes and no more, compressed or not', async () => {
    expect(await read(sending(compress(text)), coding, { bodyBytes: text.length })).toEqual(text)
    await expect(read(sending(compress(text)), coding, { bodyBytes: text.length - 1 })).rejects.toThrow(TooMuch)
    await expect(read(sending(compress(text)), coding, { bodyBytes: 5 })).rejects.toThrow(TooMuch)
  })

  test('is cut to so many bytes where that is wanted', async () => {
    const cut = await read(sending(compress(text)), coding, { bodyBytes: 10_000, tooMuch: 'is cut' })
    expect(cut).toEqual(text.subarray(0, 10_000))
  })

  test('is given as far as it came where it breaks off and is cut', async () => {
    const noise = incompressible(600_000)
    const half = compress(noise).subarray(0, compress(noise).length / 2)
    for (const fails of [true, false]) {
      const cut = await read(sending(half, { fails }), coding, { tooMuch: 'is cut' })
      expect(cut.length).toBeGreaterThan(0)
      expect(cut).toEqual(noise.subarray(0, cut.length))
    }
    await expect(read(sending(half, { fails: true }), coding)).rejects.toThrow('the connection was lost')
  })

  test('that is a bomb is read only as far as it is wanted', async () => {
    const sent = compress(bomb)
    const cut = await read(sending(sent, { chunk: 200 }), coding, { bodyBytes: 100_000, tooMuch: 'is cut' })
    expect(cut).toHaveLength(100_000)
    await expect(read(sending(sent), coding, { bodyBytes: 100_000 })).rejects.toThrow(TooMuch)
  })

  test('that is none is an error, or empty where it is cut', async () => {
    const nonsense = Buffer.from('\u001Fthis is not what it should be'.repeat(100))
    const options = { tooMuch: 'is cut' } as const
    await expect(read(sending(nonsense), coding)).rejects.toThrow(Error)
    expect((await read(sending(nonsense), coding, options)).length).toBeLessThan(nonsense.length)
  })
})

test('A body that comes bit by bit is decompressed bit by bit', async () => {
  const whole = gzipSync(text, { level: 0 })
  const sent = sending(whole, { chunk: 1000, repeats: true })
  const bounded = boundedBody(sent.body, { 'content-encoding': 'gzip' }, { bodyBytes: 1_000_000, decode: true })
  const [first] = await bounded.take(1).toArray()
  expect(text.subarray(0, first.length)).toEqual(first)
})

test('A page that says that it is compressed, and is not, is given as it is', async () => {
  expect(await read(sending(text), 'gzip')).toEqual(text)
})

test.each(['compress', 'gzip, br', 'br, br', 'aes128gcm'])('A body that is sent as %s is not read', async (coding) => {
  const sent = sending(text)
  await expect(read(sent, coding)).rejects.toThrow(UnknownCoding)
  expect(sent.taken()).toBe(0)
  expect(sent.body.destroyed).toBe(true)
})

test('No server may have us keep more than 8 MiB to look back into (zstd)', async () => {
  const params = { [constants.ZSTD_c_windowLog]: 27, [constants.ZSTD_c_enableLongDistanceMatching]: 1 }
  const large = zstdCompressSync(bomb, { params })
  const length = read(sending(large), 'zstd', { bodyBytes: 1e9 }).then((bytes) => bytes.length)
  await expect(length).rejects.toThrow(/memory|window/i)
})

test('What is nothing when it is decompressed is read no further either', async () => {
  const nothing = gzipSync('')
  const sent = sending(nothing, { repeats: true })
  await expect(read(sent, 'gzip', { bodyBytes: 100_000 })).rejects.toThrow(TooMuch)
  expect(
    await read(sending(nothing, { repeats: true }), 'gzip', { bodyBytes: 100_000, tooMuch: 'is cut' }),
  ).toHaveLength(0)
  expect(sent.taken()).toBeLessThan(1_000_000)
}, 60_000)

test('A body without end is read no further than to where it is cut, and let go of', async () => {
  const sent = sending(text, { repeats: true })
  expect(await read(sent, undefined, { bodyBytes: 100_000, tooMuch: 'is cut' })).toHaveLength(100_000)
  expect(sent.taken()).toBeLessThan(100_000 + 200_000)
  expect(sent.body.destroyed).toBe(true)
})

test('A body that is cut ends without an error, but not where whoever asked has left', async () => {
  const left = new AbortController()
  const cut = { tooMuch: 'is cut', signal: left.signal } as const
  expect(await read(sending(text, { fails: true }), undefined, cut)).toEqual(text)
  left.abort()
  await expect(read(sending(text, { fails: true }), undefined, cut)).rejects.toThrow('the connection was lost')
})

test('What was announced as too large is not begun, unless it is to be cut', async () => {
  const headers = { 'content-length': '1001' }
  const sent = sending(text)
  expect(() => boundedBody(sent.body, headers, { bodyBytes: 1000 })).toThrow(TooMuch)
  expect([sent.taken(), sent.body.destroyed]).toEqual([0, true])
  const cut = boundedBody(sending(text).body, headers, { bodyBytes: 1000, tooMuch: 'is cut' })
  expect(Buffer.concat(await cut.toArray())).toHaveLength(1000)
})

test('Whatever comes, whatever it is said to be: no more is given than is wanted, and cutting never fails', async () => {
  const names = fc.constantFrom('gzip', 'deflate', 'br', 'zstd', undefined)
  const anything = fc.oneof(
    fc.uint8Array({ maxLength: 3000 }),
    fc
      .tuple(
        fc.constantFrom(gzipSync, deflateSync, brotliCompressSync, zstdCompressSync),
        fc.uint8Array({ maxLength: 3000 }),
      )
      .map(([compress, bytes]) => new Uint8Array(compress(bytes))),
  )
  await fc.assert(
    fc.asyncProperty(
      names,
      anything,
      fc.nat(4000),
      fc.integer({ min: 1, max: 500 }),
      async (coding, bytes, bodyBytes, chunk) => {
        const cut = await read(sending(bytes, { chunk }), coding, { bodyBytes, tooMuch: 'is cut' })
        expect(cut.length).toBeLessThanOrEqual(bodyBytes)
      },
    ),
    { numRuns: 200 },
  )
})
