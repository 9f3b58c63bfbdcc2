import { randomBytes } from 'node:crypto'
import { PassThrough, Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { asTheyCame } from './chunks.ts'

const BROKEN = new Error('broken')

test('Chunks come as they were sent, none joined, however they come and are read', async () => {
  const sizes = fc.array(fc.record({ size: fc.integer({ min: 1, max: 100_000 }), pause: fc.boolean() }))
  await fc.assert(
    fc.asyncProperty(sizes, fc.array(fc.nat(3), { minLength: 1 }), fc.boolean(), async (sent, paces, breaks) => {
      const stream = new PassThrough({ highWaterMark: 64 * 1024 })
      const chunks = sent.map(({ size }) => randomBytes(size))
      const sending = send(
        stream,
        chunks,
        sent.map(({ pause }) => pause),
        breaks,
      )
      const got: Uint8Array[] = []
      const reading = (async () => {
        for await (const chunk of asTheyCame(stream)) {
          got.push(chunk)
          for (let turns = paces[got.length % paces.length] ?? 0; turns > 0; turns--) await turn()
        }
      })()
      if (breaks) await expect(reading).rejects.toBe(BROKEN)
      else await reading
      await sending
      expect(got.every((chunk, index) => chunks[index]?.equals(chunk))).toBe(true)
      if (!breaks) expect(got).toHaveLength(chunks.length)
    }),
    { numRuns: 50 },
  )
})

async function send(stream: PassThrough, chunks: readonly Buffer[], pauses: readonly boolean[], breaks: boolean) {
  for (const [index, chunk] of chunks.entries()) {
    stream.write(chunk)
    if (pauses[index]) await turn()
  }
  if (breaks) stream.destroy(BROKEN)
  else stream.end()
}

test('What has come is given before the error that ended it, and one from before reading is not missed', async () => {
  const stream = new Readable({ read() {} })
  const chunks = asTheyCame(stream)[Symbol.asyncIterator]()
  stream.push(Buffer.from('one'))
  await turn()
  stream.destroy(BROKEN)
  await turn()
  expect(await chunks.next()).toEqual({ done: false, value: Buffer.from('one') })
  await expect(chunks.next()).rejects.toBe(BROKEN)
  const failed = asTheyCame(stream)[Symbol.asyncIterator]()
  await expect(failed.next()).rejects.toBe(BROKEN)
})

test('Whoever leaves early ends the stream, and one that is closed under its reader has not come to its end', async () => {
  const left = new Readable({ read() {} })
  left.push(Buffer.from('one'))
  for await (const chunk of asTheyCame(left)) if (chunk.length > 0) break
  expect(left.destroyed).toBe(true)
  const closed = new Readable({ read() {} })
  const next = asTheyCame(closed)[Symbol.asyncIterator]().next()
  closed.destroy()
  await expect(next).rejects.toThrow('closed before its end')
})

test('Few chunks wait for a slow reader', async () => {
  let made = 0
  const stream = Readable.from(
    (function* () {
      for (; made < 1000; made++) yield Buffer.alloc(1000)
    })(),
    { objectMode: false, highWaterMark: 1000 },
  )
  const chunks = asTheyCame(stream)[Symbol.asyncIterator]()
  await chunks.next()
  for (let turns = 0; turns < 100; turns++) await turn()
  expect(made).toBeLessThan(10)
  await chunks.return?.()
})
