import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type BadLines, listLines } from './list-lines.ts'
import { PdqList } from './pdq-list.ts'
import { Sha256List } from './sha256-list.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

async function* inPieces(text: string, length: number) {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length)
}

async function linesOf(text: string, length = 7) {
  const bad: BadLines = { count: 0, first: 0 }
  const found: { hash: string; reason: string }[] = []
  for await (const lines of listLines(inPieces(text, length), bad)) {
    for (const { hash, reason } of lines) found.push({ hash: hash.toString('hex'), reason })
  }
  return { found, bad }
}

test('Lines are read as checksum programs and spreadsheets write them, in pieces of any size', async () => {
  const [a, b, c] = [sha256('a'), sha256('b'), sha256('c')]
  const text = `\uFEFF${a}  the first.png\r\n# a comment\n\n${b.toUpperCase()},ünfug\n${c}`
  for (let length = 1; length < 90; length += 3) {
    expect(await linesOf(text, length)).toEqual({
      found: [
        { hash: a, reason: 'the first.png' },
        { hash: b, reason: 'ünfug' },
        { hash: c, reason: '' },
      ],
      bad: { count: 0, first: 0 },
    })
  }
})

test('Lines that begin with no hash are counted, also one that has no end', async () => {
  const { found, bad } = await linesOf(
    `${sha256('a')}x\n${sha256('b').slice(1)}\n${sha256('c')}\n${'y'.repeat(100_000)}`,
    5000,
  )
  expect(found.map(({ hash }) => hash)).toEqual([sha256('c')])
  expect(bad).toEqual({ count: 3, first: 1 })
})

async function* asLines(hashes: readonly { readonly hash: Buffer; readonly reason: string }[]) {
  yield hashes
}

test('A list has exactly the hashes that were put on it, with their reasons', async () => {
  const hex = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes))
  await fc.assert(
    fc.asyncProperty(fc.array(hex, { maxLength: 60 }), hex, async (hashes, other) => {
      // Some that differ in their last bit only.
      const near = hashes.map((hash) => Buffer.from([...hash.subarray(0, 31), (hash[31] ?? 0) ^ 1]))
      const all = [...hashes, ...near].map((hash) => ({ hash, reason: `why ${hash.toString('hex')}` }))
      const list = await Sha256List.read(asLines(all))
      expect(list.size).toBe(all.length)
      for (const { hash, reason } of all) expect(list.find(hash.toString('hex'))).toBe(reason)
      const isThere = all.some(({ hash }) => hash.equals(other))
      expect(list.find(other.toString('hex')) !== undefined).toBe(isThere)
    }),
    { numRuns: 50 },
  )
})

test('A list of a hundred thousand takes 36 bytes for each hash, and finds every one', async () => {
  const hashes = Array.from({ length: 100_000 }, (_, index) => ({
    hash: createHash('sha256').update(String(index)).digest(),
    reason: index % 2 === 0 ? 'even' : 'odd',
  }))
  const list = await Sha256List.read(asLines(hashes))
  for (let index = 0; index < 100_000; index += 997) {
    expect(list.find(sha256(String(index)))).toBe(index % 2 === 0 ? 'even' : 'odd')
  }
  expect(list.find(sha256('100000'))).toBeUndefined()
})

const bits = (buffer: Buffer) => [...buffer].map((byte) => byte.toString(2).padStart(8, '0')).join('')

/** As text, bit by bit. */
function differing(a: Buffer, b: Buffer): number {
  const [one, other] = [bits(a), bits(b)]
  return Array.from({ length: one.length }, (_, at) => at).filter((at) => one[at] !== other[at]).length
}

test('The nearest of the known pictures is found, if it is near enough', async () => {
  const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes))
  await fc.assert(
    fc.asyncProperty(
      fc.array(hash, { minLength: 1, maxLength: 20 }),
      hash,
      fc.nat(256),
      async (known, wanted, most) => {
        const list = await PdqList.read(asLines(known.map((one) => ({ hash: one, reason: one.toString('hex') }))))
        const least = Math.min(...known.map((one) => differing(one, wanted)))
        const nearest = await list.nearest(wanted, most)
        expect(nearest?.distance).toBe(least <= most ? least : undefined)
        if (nearest) expect(differing(Buffer.from(nearest.reason, 'hex'), wanted)).toBe(least)
      },
    ),
  )
})

test('More known pictures than are compared at once are compared all the same', async () => {
  const far = Buffer.alloc(32, 0xff)
  const lines = Array.from({ length: 250_001 }, (_, index) => ({
    hash: index === 250_000 ? Buffer.alloc(32, 1) : far,
    reason: '',
  }))
  const list = await PdqList.read(asLines(lines))
  expect(await list.nearest(Buffer.alloc(32), 40)).toEqual({ reason: '', distance: 32 })
})
