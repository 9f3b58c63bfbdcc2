/** What every datastore is held to, whatever it is made of: the contract in `src/datastores/datastore.ts`, as tests. */
import { createHash, randomBytes } from 'node:crypto'
import { describe, expect, test, vi } from 'vitest'
import { type ByteRange, type Datastore, ObjectMissing } from '../../src/datastores/datastore.ts'
import { chunksOf, collect, inPieces } from '../support/bytes.ts'

/** A datastore with nothing in it, and ways to look at it and to harm it from outside. */
export interface DatastoreUnderTest extends AsyncDisposable {
  readonly datastore: Datastore
  /** Everything it keeps at the moment, staged or put: one name each. */
  readonly kept: () => Promise<readonly string[]>
  /** How many files or connections it holds open for what it keeps, those aside that it keeps ready for the next reader. */
  readonly handles: () => Promise<number>
  /** Takes an object away, as an administrator's mistake or a broken disk does. */
  readonly lose: (location: string) => Promise<void>
  /** Leaves only the first `bytes` bytes of an object. */
  readonly cut: (location: string, bytes: number) => Promise<void>
}

/** What is said of an object where it makes no difference. */
export const PLAIN = { contentType: 'text/plain' }

/** Larger than any buffer that a datastore would read at once, and no multiple of one. */
const LARGE = 3 * 1024 * 1024 + 1234

export function datastoreContract(title: string, open: () => Promise<DatastoreUnderTest>): void {
  describe(title, () => {
    test.for([0, 1, 100, 256 * 1024, 256 * 1024 + 1, LARGE])('%i bytes come back as they were put', async (size) => {
      await using under = await open()
      const bytes = randomBytes(size)
      const location = await put(under.datastore, bytes)
      await using object = await under.datastore.open(location)
      expect(object.size).toBe(size)
      expect((await readWhole(under.datastore, location)).equals(bytes)).toBe(true)
      expect(await under.datastore.sizeOf(location)).toBe(size)
    })

    test('what was received is described by its size and SHA-256, and costs one file', async () => {
      await using under = await open()
      const bytes = randomBytes(LARGE)
      await using staged = await under.datastore.stage(chunksOf(bytes, 65_536), { maxBytes: 0 })
      expect(staged.size).toBe(LARGE)
      expect(staged.sha256).toBe(createHash('sha256').update(bytes).digest('hex'))
      expect(await under.kept()).toHaveLength(1)
    })

    test('putting uses the staged file up, and an object once put stays when it is disposed of', async () => {
      await using under = await open()
      const staged = await under.datastore.stage(chunksOf(Buffer.from('kept')), { maxBytes: 0 })
      const location = await under.datastore.put(staged, PLAIN)
      await staged[Symbol.asyncDispose]()
      expect((await readWhole(under.datastore, location)).toString()).toBe('kept')
      expect(await under.kept()).toHaveLength(1)
    })

    test('a staged file that is not put is gone once disposed of', async () => {
      await using under = await open()
      {
        await using _ = await under.datastore.stage(chunksOf(Buffer.from('dropped')), { maxBytes: 0 })
        expect(await under.kept()).toHaveLength(1)
      }
      expect(await under.kept()).toEqual([])
      await noHandles(under)
    })

    test('a staged file that vanished cannot be put, and nothing is stored', async () => {
      await using under = await open()
      const staged = await under.datastore.stage(chunksOf(Buffer.from('vanished')), { maxBytes: 0 })
      await staged[Symbol.asyncDispose]()
      await expect(under.datastore.put(staged, PLAIN)).rejects.toThrow()
      expect(await under.kept()).toEqual([])
    })

    test('the same bytes put twice are two objects, of which either can be deleted without the other', async () => {
      await using under = await open()
      const first = await put(under.datastore, Buffer.from('twice'))
      const second = await put(under.datastore, Buffer.from('twice'))
      expect(second).not.toBe(first)
      await under.datastore.delete(first)
      expect(await under.datastore.sizeOf(first)).toBeUndefined()
      expect((await readWhole(under.datastore, second)).toString()).toBe('twice')
    })

    test('deleting what is not there is fine, again and again', async () => {
      await using under = await open()
      const location = await put(under.datastore, Buffer.from('deleted'))
      await under.datastore.delete(location)
      await under.datastore.delete(location)
      await under.datastore.delete(`${location}-never-there`)
      expect(await under.kept()).toEqual([])
    })

    test('an object that is not there is ObjectMissing before anything is read', async () => {
      await using under = await open()
      const deleted = await put(under.datastore, Buffer.from('deleted'))
      const lost = await put(under.datastore, Buffer.from('lost'))
      await under.datastore.delete(deleted)
      await under.lose(lost)
      for (const location of [deleted, lost, `${lost}-never-there`]) {
        await expect(under.datastore.open(location)).rejects.toThrow(ObjectMissing)
        await expect(under.datastore.open(location)).rejects.toThrow(location)
        expect(await under.datastore.sizeOf(location)).toBeUndefined()
      }
    })

    test('an object that was read a moment ago is missing at once when it is deleted', async () => {
      await using under = await open()
      const location = await put(under.datastore, Buffer.from('read, then deleted'))
      await readWhole(under.datastore, location)
      await under.datastore.delete(location)
      await expect(under.datastore.open(location)).rejects.toThrow(ObjectMissing)
    })

    test('who opened an object before it was deleted reads it to its end', async () => {
      await using under = await open()
      const bytes = randomBytes(LARGE)
      const location = await put(under.datastore, bytes)
      await using object = await under.datastore.open(location)
      await under.datastore.delete(location)
      expect((await collect(object.read({ start: 0, end: LARGE - 1 }))).equals(bytes)).toBe(true)
    })

    test.for<readonly [string, ByteRange]>([
      ['the first byte', { start: 0, end: 0 }],
      ['the last byte', { start: LARGE - 1, end: LARGE - 1 }],
      ['the whole', { start: 0, end: LARGE - 1 }],
      ['from within to the end', { start: 1_000_001, end: LARGE - 1 }],
      ['from the start to within', { start: 0, end: 1_000_000 }],
      ['one buffer exactly', { start: 7, end: 7 + 256 * 1024 - 1 }],
      ['one byte more than a buffer', { start: 7, end: 7 + 256 * 1024 }],
      ['a little across two buffers', { start: 256 * 1024 - 2, end: 256 * 1024 + 2 }],
    ])('a range is read exactly: %s', async ([, range]) => {
      await using under = await open()
      const bytes = randomBytes(LARGE)
      const location = await put(under.datastore, bytes)
      await using object = await under.datastore.open(location)
      const part = await collect(object.read(range))
      expect(part.equals(bytes.subarray(range.start, range.end + 1))).toBe(true)
    })

    test('disposing of an object twice takes it from no other reader', async () => {
      await using under = await open()
      const bytes = randomBytes(LARGE)
      const location = await put(under.datastore, bytes)
      await using one = await under.datastore.open(location)
      await using other = await under.datastore.open(location)
      await one[Symbol.asyncDispose]()
      await one[Symbol.asyncDispose]()
      await under.datastore.delete(location)
      expect((await collect(other.read({ start: 0, end: LARGE - 1 }))).equals(bytes)).toBe(true)
    })

    test('an empty object and an empty range have no chunks', async () => {
      await using under = await open()
      await using empty = await under.datastore.open(await put(under.datastore, Buffer.alloc(0)))
      expect(empty.size).toBe(0)
      expect(await collect(empty.read({ start: 0, end: -1 }))).toHaveLength(0)
      await using other = await under.datastore.open(await put(under.datastore, Buffer.from('full')))
      expect(await collect(other.read({ start: 4, end: 3 }))).toHaveLength(0)
    })

    test('a chunk stays as it is until the next one is asked for, however long that takes', async () => {
      await using under = await open()
      const bytes = randomBytes(LARGE)
      const location = await put(under.datastore, bytes)
      await using object = await under.datastore.open(location)
      let position = 0
      for await (const chunk of object.read({ start: 0, end: LARGE - 1 })) {
        // Other readers at the same time, whose buffers may be shared with this one.
        await Promise.all([readWhole(under.datastore, location), readWhole(under.datastore, location)])
        expect(bytes.subarray(position, position + chunk.length).equals(chunk)).toBe(true)
        position += chunk.length
      }
      expect(position).toBe(LARGE)
    })

    test('many readers of one object at once each get their own range', async () => {
      await using under = await open()
      const bytes = randomBytes(LARGE)
      const location = await put(under.datastore, bytes)
      const ranges = Array.from({ length: 40 }, (_, index) => ({ start: index * 50_000, end: LARGE - 1 - index * 17 }))
      const parts = await Promise.all(
        ranges.map(async (range) => {
          await using object = await under.datastore.open(location)
          return await collect(object.read(range))
        }),
      )
      for (const [index, part] of parts.entries()) {
        const { start, end } = ranges[index] ?? { start: 0, end: 0 }
        expect(part.equals(bytes.subarray(start, end + 1))).toBe(true)
      }
    })

    test('a reader that stops early leaves nothing open, and harms no other', async () => {
      await using under = await open()
      const bytes = randomBytes(LARGE)
      const location = await put(under.datastore, bytes)
      await using patient = await under.datastore.open(location)
      const reading = patient.read({ start: 0, end: LARGE - 1 })[Symbol.asyncIterator]()
      const { value: begun } = await reading.next()
      const first = Buffer.from(begun ?? [])
      for (let round = 0; round < 20; round++) {
        await using hasty = await under.datastore.open(location)
        for await (const _ of hasty.read({ start: 0, end: LARGE - 1 })) break
      }
      const rest = await collect({ [Symbol.asyncIterator]: () => reading })
      expect(Buffer.concat([first, rest]).equals(bytes)).toBe(true)
      await patient[Symbol.asyncDispose]()
      await under.datastore[Symbol.asyncDispose]()
      await noHandles(under)
    })

    test.for([0, 1, 300 * 1024, 2 * 1024 * 1024])(
      'an object cut to %i bytes behind our back says its new size, and is never taken for whole',
      async (left) => {
        await using under = await open()
        const location = await put(under.datastore, randomBytes(LARGE))
        await under.cut(location, left)
        expect(await under.datastore.sizeOf(location)).toBe(left)
        await using object = await under.datastore.open(location)
        expect(object.size).toBe(left)
        await expect(collect(object.read({ start: 0, end: LARGE - 1 }))).rejects.toThrow('ended')
      },
    )

    test.for([
      { size: 20_000, left: 400 },
      { size: 20_000, left: 0 },
      { size: LARGE, left: 300 * 1024 },
    ])(
      'an object of $size bytes cut to $left while it is open ends in an error, never in a shorter file',
      async ({ size, left }) => {
        await using under = await open()
        const bytes = randomBytes(size)
        const location = await put(under.datastore, bytes)
        await using object = await under.datastore.open(location)
        expect(object.size).toBe(size)
        await under.cut(location, left)
        // What was on its way may still come, if all of it does.
        const read = await collect(object.read({ start: 0, end: size - 1 })).catch((error: Error) => error)
        if (read instanceof Error) expect(read.message).toContain('ended')
        else expect(read.equals(bytes)).toBe(true)
      },
    )

    test('a read that fails ahead of a slow reader waits for it, and breaks nothing else', async () => {
      await using under = await open()
      const unhandled: unknown[] = []
      const note = (reason: unknown) => unhandled.push(reason)
      process.on('unhandledRejection', note)
      try {
        const bytes = randomBytes(LARGE)
        const location = await put(under.datastore, bytes)
        await using object = await under.datastore.open(location)
        await under.cut(location, 256 * 1024)
        const reading = object.read({ start: 0, end: LARGE - 1 })[Symbol.asyncIterator]()
        const { value: begun } = await reading.next()
        const first = Buffer.from(begun ?? [])
        // Long enough for the read ahead to fail while nobody waits for it.
        for (let read = 0; read < 20; read++) await under.datastore.sizeOf(location)
        await new Promise((resolve) => setImmediate(resolve))
        const rest = await collect({ [Symbol.asyncIterator]: () => reading }).catch((error: Error) => error)
        if (rest instanceof Error) expect(rest.message).toContain('ended')
        else expect(Buffer.concat([first, rest]).equals(bytes)).toBe(true)
        expect(unhandled).toEqual([])
      } finally {
        process.off('unhandledRejection', note)
      }
    })

    test('what is read here can be received here, though each chunk is only good until the next', async () => {
      await using under = await open()
      const contents = Array.from({ length: 12 }, (_, index) => randomBytes(600_000 + index * 77_777))
      const locations = await Promise.all(contents.map((bytes) => put(under.datastore, bytes)))
      const copies = await Promise.all(
        locations.map(async (location) => {
          await using object = await under.datastore.open(location)
          const whole = { start: 0, end: object.size - 1 }
          await using staged = await under.datastore.stage(inPieces(object.read(whole)), { maxBytes: 0 })
          return await under.datastore.put(staged, PLAIN)
        }),
      )
      for (const [index, copy] of copies.entries()) {
        expect((await readWhole(under.datastore, copy)).equals(contents[index] ?? Buffer.alloc(0))).toBe(true)
      }
    })

    test.for(['one by one', 'in large chunks'])('bytes that come %s are stored as they came', async (how) => {
      await using under = await open()
      const bytes = randomBytes(how === 'one by one' ? 5000 : LARGE)
      const chunks = chunksOf(bytes, how === 'one by one' ? 1 : 1_000_000)
      await using staged = await under.datastore.stage(chunks, { maxBytes: 0, expectedBytes: bytes.length })
      expect((await readWhole(under.datastore, await under.datastore.put(staged, PLAIN))).equals(bytes)).toBe(true)
    })

    test('exactly maxBytes are taken; one byte more is refused and leaves nothing', async () => {
      await using under = await open()
      {
        await using exact = await under.datastore.stage(chunksOf(randomBytes(1000), 300), { maxBytes: 1000 })
        expect(exact.size).toBe(1000)
      }
      const before = await under.kept()
      await expect(under.datastore.stage(chunksOf(randomBytes(1001), 300), { maxBytes: 1000 })).rejects.toMatchObject({
        reason: 'too_large',
        message: 'files may have 1000 bytes at most',
      })
      expect(await under.kept()).toEqual(before)
      await noHandles(under)
    })

    test('what is too large is not read further than it takes to know', async () => {
      await using under = await open()
      let given = 0
      async function* endless(): AsyncGenerator<Uint8Array> {
        for (;;) {
          given++
          yield Buffer.alloc(1000)
        }
      }
      await expect(under.datastore.stage(endless(), { maxBytes: 5000 })).rejects.toMatchObject({ reason: 'too_large' })
      expect(given).toBe(6)
    })

    test.for([999, 1001])('%i bytes instead of the 1000 announced are refused and leave nothing', async (size) => {
      await using under = await open()
      const received = under.datastore.stage(chunksOf(randomBytes(size)), { maxBytes: 0, expectedBytes: 1000 })
      await expect(received).rejects.toMatchObject({ reason: 'length_mismatch' })
      expect(await under.kept()).toEqual([])
      await noHandles(under)
    })

    test.for([0, 1, 5])('a sender that breaks off after %i chunks leaves no file and no handle', async (chunks) => {
      await using under = await open()
      const failure = new Error('the connection broke')
      async function* breaking(): AsyncGenerator<Uint8Array> {
        for (let sent = 0; sent < chunks; sent++) yield randomBytes(100_000)
        throw failure
      }
      await expect(under.datastore.stage(breaking(), { maxBytes: 0 })).rejects.toBe(failure)
      expect(await under.kept()).toEqual([])
      await noHandles(under)
    })

    test('many puts at once are all there, each at its own place', async () => {
      await using under = await open()
      const contents = Array.from({ length: 60 }, (_, index) => Buffer.from(`object ${index}`))
      const locations = await Promise.all(contents.map((bytes) => put(under.datastore, bytes)))
      expect(new Set(locations).size).toBe(contents.length)
      for (const [index, location] of locations.entries()) {
        expect((await readWhole(under.datastore, location)).equals(contents[index] ?? Buffer.alloc(0))).toBe(true)
      }
      expect(await under.kept()).toHaveLength(contents.length)
    })

    test('everything it keeps is listed with its size and time, and nothing that is still being received', async () => {
      await using under = await open()
      await using _ = await under.datastore.stage(chunksOf(Buffer.from('not put')), { maxBytes: 0 })
      const before = Date.now()
      const contents = Array.from({ length: 12 }, (_, index) => Buffer.alloc(index, index))
      const locations = await Promise.all(contents.map((bytes) => put(under.datastore, bytes)))
      await under.datastore.delete(locations.pop() ?? '')
      const listed = await Array.fromAsync(under.datastore.list())
      const expected = locations.map((location, index) => ({ location, size: index, putAt: expect.any(Number) }))
      expect(listed.toSorted((a, b) => a.size - b.size)).toEqual(expected)
      for (const { putAt } of listed) expect(Math.abs(putAt - before)).toBeLessThan(60_000)
    })

    test('a datastore that works passes its own check', async () => {
      await using under = await open()
      await expect(under.datastore.check()).resolves.toBeUndefined()
    })
  })
}

/** Closing may take a moment longer than what it belongs to. */
export async function noHandles({ handles }: Pick<DatastoreUnderTest, 'handles'>): Promise<void> {
  await vi.waitFor(async () => expect(await handles()).toBe(0), 10_000)
}

/** Stages and puts, as an upload does. */
export async function put(datastore: Datastore, bytes: Uint8Array): Promise<string> {
  await using staged = await datastore.stage(chunksOf(bytes), { maxBytes: 0 })
  return await datastore.put(staged, PLAIN)
}

/** Opens an object and reads all of it. */
export async function readWhole(datastore: Datastore, location: string): Promise<Buffer> {
  await using object = await datastore.open(location)
  return await collect(object.read({ start: 0, end: object.size - 1 }))
}
