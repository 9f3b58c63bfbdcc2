/** What every datastore is held to while it receives a file that others read: `src/datastores/growing-file.ts`, as tests. */
import { randomBytes } from 'node:crypto'
import { describe, expect, test, vi } from 'vitest'
import { GrowingFile, HELD_BACK } from '../../src/datastores/growing-file.ts'
import { collect } from '../support/bytes.ts'
import { handFed, joined, openTestFiles, readSome } from '../support/growing.ts'
import { type DatastoreUnderTest, PLAIN, readWhole } from './datastore.ts'

const KIB = 1024
const SIZE = 700 * KIB

export function growingContract(title: string, open: () => Promise<DatastoreUnderTest>): void {
  describe(`${title}, while it receives a file`, () => {
    test.each([
      ['of a known length', SIZE, 1],
      ['of an unknown length', undefined, HELD_BACK + 1],
    ])('gives first bytes of one %s at once, however few there are', async (_, announced, needed) => {
      await using under = await open()
      const sent = randomBytes(SIZE)
      const source = handFed()
      using growing = new GrowingFile(announced)
      const received = under.datastore.stage(source, { maxBytes: 0, growing })
      // They came before anybody wanted them, and nothing more does.
      await source.send(sent.subarray(0, needed))
      using reader = await joined(growing)
      const chunks = reader.read()
      expect((await chunks.next()).value).toEqual(sent.subarray(0, 1))
      // The next piece too, though nobody asked for it before it came.
      void source.send(sent.subarray(needed, needed + 10))
      expect(await readSome(chunks, 10)).toEqual(sent.subarray(1, 11))
      void source.send(sent.subarray(needed + 10))
      source.end()
      await using staged = await received
      await under.datastore.put(staged, PLAIN)
      growing.finish()
      expect((await collect(chunks)).equals(sent.subarray(11))).toBe(true)
    })

    test.each([SIZE, undefined])('keeps the end back until the file is stored (announced: %s)', async (announced) => {
      await using under = await open()
      const sent = randomBytes(SIZE)
      using growing = new GrowingFile(announced)
      const received = under.datastore.stage(pieces(sent), { maxBytes: 0, growing })
      using reader = await joined(growing)
      const chunks = reader.read()
      const early = await readSome(chunks, SIZE - HELD_BACK)
      const rest = collect(chunks)
      const staged = await received
      // Moved, deleted, and its object deleted too: who reads has it open.
      const location = await under.datastore.put(staged, PLAIN)
      await staged[Symbol.asyncDispose]()
      expect((await readWhole(under.datastore, location)).equals(sent)).toBe(true)
      await under.datastore.delete(location)
      expect(early).toHaveLength(SIZE - HELD_BACK)
      growing.finish()
      expect(Buffer.concat([early, await rest]).equals(sent)).toBe(true)
    })

    test.each([0, 1, HELD_BACK])(
      'gives nothing of %i bytes before they are stored, and then the object',
      async (size) => {
        for (const announced of [size, undefined]) {
          await using under = await open()
          using growing = new GrowingFile(announced)
          const early = growing.join()
          const source = pieces(randomBytes(size))
          await using staged = await under.datastore.stage(source, { maxBytes: 0, growing })
          const state = await Promise.race([early, Promise.resolve('waits')])
          growing.finish()
          expect([state, await early, await growing.join()]).toEqual(['waits', undefined, undefined])
          expect(staged.size).toBe(size)
        }
        await vi.waitFor(async () => expect(await openTestFiles()).toBe(0), 10_000)
      },
    )

    test('tells all readers when the source breaks, and keeps nothing', async () => {
      await using under = await open()
      const source = handFed()
      const growing = new GrowingFile(SIZE)
      const received = under.datastore.stage(source, { maxBytes: 0, growing }).catch((error: unknown) => {
        growing.fail(error)
        throw error
      })
      received.catch(() => {})
      void source.send(randomBytes(200 * KIB))
      const readers = [await joined(growing), await joined(growing)]
      const read = readers.map((reader) => collect(reader.read()))
      for (const one of read) one.catch(() => {})
      const failure = new Error('the connection broke')
      source.break(failure)
      await expect(received).rejects.toBe(failure)
      for (const one of read) await expect(one).rejects.toBe(failure)
      await expect(growing.join()).rejects.toBe(failure)
      for (const reader of readers) reader[Symbol.dispose]()
      expect(await under.kept()).toEqual([])
      await vi.waitFor(async () => expect(await openTestFiles()).toBe(0), 10_000)
    })

    test.each([-1, 1])('refuses a file whose length is off by %i, and gives no reader its end', async (off) => {
      await using under = await open()
      const source = handFed()
      const growing = new GrowingFile(SIZE)
      const received = under.datastore.stage(source, { maxBytes: 0, growing })
      received.catch((error: unknown) => growing.fail(error))
      void source.send(randomBytes(100))
      using reader = await joined(growing)
      let bytes = 0
      const read = (async () => {
        for await (const chunk of reader.read()) bytes += chunk.length
      })()
      void source.send(randomBytes(SIZE + off - 100))
      source.end()
      await expect(read).rejects.toMatchObject({ reason: 'length_mismatch' })
      await expect(received).rejects.toMatchObject({ reason: 'length_mismatch' })
      expect(bytes).toBeLessThanOrEqual(SIZE - HELD_BACK)
    })
  })
}

/** As a connection gives them, each overwritten when the next is asked for. */
async function* pieces(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let position = 0; position < bytes.length; position += 20_000) {
    const piece = Buffer.from(bytes.subarray(position, position + 20_000))
    yield piece
    piece.fill(0)
  }
}
