import { randomBytes } from 'node:crypto'
import { type FileHandle, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { CallerGone } from '../lib/errors.ts'
import { handlePrototype } from '../../test/contract/folder.ts'
import { temporaryFolder } from '../../test/support/folder.ts'
import { handFed, joined, openTestFiles, readSome } from '../../test/support/growing.ts'
import { GrowingFile, HELD_BACK, type OpenEndedRange } from './growing-file.ts'
import { SharedFile } from './open-files.ts'
import { stage } from './staging.ts'

const MIB = 1024 * 1024
const LARGEST = 500_000
const CONTENT = randomBytes(LARGEST)

interface ReaderPlan {
  /** Turns of the event loop before it comes, and between its chunks. */
  readonly after: number
  readonly pace: number
  readonly part: OpenEndedRange
}

interface Plan {
  readonly size: number
  readonly chunks: readonly number[]
  readonly announced: 'size' | 'least' | 'nothing'
  readonly passing: boolean
  readonly end: 'finish' | 'break' | 'refuse'
  readonly readers: readonly ReaderPlan[]
}

const parts = fc
  .record({ start: fc.nat(LARGEST), more: fc.option(fc.nat(LARGEST), { nil: undefined }) })
  .map(({ start, more }) => (more === undefined ? { start } : { start, end: start + more }))
const plans: fc.Arbitrary<Plan> = fc.record({
  size: fc.oneof(fc.nat(LARGEST), fc.integer({ min: HELD_BACK - 1, max: HELD_BACK + 2 })),
  // One that is not small among them: half a million of single bytes show nothing more.
  chunks: fc
    .array(fc.oneof(fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 1, max: 300_000 })))
    .map((chunks) => [...chunks, 20_000]),
  announced: fc.constantFrom('size', 'least', 'nothing'),
  passing: fc.boolean(),
  end: fc.constantFrom('finish', 'break', 'refuse'),
  readers: fc.array(
    fc.record({ after: fc.nat(20), pace: fc.nat(5), part: fc.oneof(fc.constant({ start: 0 }), parts) }),
    { maxLength: 5 },
  ),
})

const BROKEN = new Error('the source broke')
const REFUSED = new Error('the content was refused')

test('However bytes come and readers read, each gets the right ones, and the last ones only of a file that is stored', async () => {
  await using folder = await temporaryFolder()
  await fc.assert(
    fc.asyncProperty(plans, async (plan) => {
      const { size, announced, end } = plan
      using growing = new GrowingFile(announced === 'size' ? size : undefined)
      if (announced === 'least') growing.announce(undefined, Math.max(0, size - 7))
      const outcomes = plan.readers.map((reader) => follow(growing, reader))
      const staged = await receive(folder.path, growing, plan)
      await Promise.all(Array.from({ length: 10 }, () => turn()))
      for (const { got, part } of outcomes) expect(part.start + got()).toBeLessThanOrEqual(early(plan, part))
      // As a datastore that keeps it elsewhere does.
      await staged?.[Symbol.asyncDispose]()
      if (end === 'finish') growing.finish()
      if (end === 'refuse') growing.fail(REFUSED)
      for (const { ended, part } of outcomes) {
        const { bytes, error } = await ended
        // It came when the file was stored already.
        if (!bytes && end === 'finish') continue
        const wanted = CONTENT.subarray(0, size).subarray(part.start, part.end === undefined ? undefined : part.end + 1)
        expect(wanted.subarray(0, bytes?.length ?? 0).equals(bytes ?? Buffer.alloc(0))).toBe(true)
        // A part that ends before what is kept back may be had of any file.
        const isWhole = bytes?.length === wanted.length && (end === 'finish' || (part.end ?? size) < size - HELD_BACK)
        if (isWhole) expect(error).toBeUndefined()
        else expect([end, error]).toEqual([end, end === 'break' ? BROKEN : REFUSED])
      }
    }),
    { numRuns: 150 },
  )
  expect(await readdir(folder.path)).toEqual([])
  await vi.waitFor(async () => expect(await openTestFiles()).toBe(0), 10_000)
})

/** The position up to which a reader of `part` may have come before the file is finished. */
const early = ({ size }: Plan, { start }: OpenEndedRange) => Math.max(start, size - HELD_BACK)

/** Whoever receives it does not wait for readers. What has not failed by then is received whole. */
async function receive(folder: string, growing: GrowingFile, plan: Plan) {
  try {
    return await stage(folder, contentOf(plan), { maxBytes: 0, growing }, { passing: plan.passing })
  } catch (error) {
    growing.fail(error)
    return undefined
  }
}

async function* contentOf({ size, chunks, end }: Plan): AsyncGenerator<Uint8Array> {
  for (let position = 0, index = 0; position < size; index++) {
    const length = chunks[index % chunks.length] ?? 1
    const chunk = Buffer.from(CONTENT.subarray(position, Math.min(size, position + length)))
    position += chunk.length
    yield chunk
    chunk.fill(0)
    if (index % 3 === 0) await turn()
  }
  if (end === 'break') throw BROKEN
}

/** Reads as planned; `bytes` are what it got, undefined when the file was stored before it could read. */
function follow(growing: GrowingFile, { after, pace, part }: ReaderPlan) {
  let got = 0
  const read = async (): Promise<{ readonly bytes?: Buffer; readonly error?: unknown }> => {
    const copies: Buffer[] = []
    try {
      for (let turns = 0; turns < after; turns++) await turn()
      using reader = await growing.join()
      if (!reader) return {}
      for await (const chunk of reader.read(part)) {
        copies.push(Buffer.from(chunk))
        got += chunk.length
        for (let turns = 0; turns < pace; turns++) await turn()
      }
    } catch (error) {
      return { bytes: Buffer.concat(copies), error }
    }
    return { bytes: Buffer.concat(copies) }
  }
  return { ended: read(), got: () => got, part }
}

test('What cannot be the last of a file is had at once, also where its exact length is not known', async () => {
  await using folder = await temporaryFolder()
  const source = handFed()
  using growing = new GrowingFile()
  growing.announce(undefined, LARGEST - 7)
  const received = stage(folder.path, source, { maxBytes: 0, growing })
  void source.send(CONTENT.subarray(0, 1000))
  using reader = await joined(growing)
  const chunks = reader.read()
  expect((await readSome(chunks, 1000)).equals(CONTENT.subarray(0, 1000))).toBe(true)
  void source.send(CONTENT.subarray(1000))
  source.end()
  await using _ = await received
  const early = LARGEST - HELD_BACK
  expect((await readSome(chunks, early - 1000)).equals(CONTENT.subarray(1000, early))).toBe(true)
  growing.finish()
  expect((await readSome(chunks, LARGEST)).equals(CONTENT.subarray(early))).toBe(true)
})

test('Who leaves while a file comes in is not waited for, and the others get the whole file', async () => {
  await using folder = await temporaryFolder()
  const source = handFed()
  using growing = new GrowingFile(LARGEST)
  const received = stage(folder.path, source, { maxBytes: 0, growing })
  void source.send(CONTENT.subarray(0, 1000))
  const leaving = new AbortController()
  using reader = await joined(growing)
  using other = await joined(growing)
  const chunks = reader.read({ start: 0 }, leaving.signal)
  await readSome(chunks, 1000)
  const next = chunks.next()
  const late = growing.join(leaving.signal)
  const waits = reader.reaches(2000, leaving.signal)
  leaving.abort()
  for (const one of [next, waits]) await expect(one).rejects.toBeInstanceOf(CallerGone)
  await late.then((left) => left?.[Symbol.dispose]())
  await expect(growing.join(leaving.signal)).rejects.toBeInstanceOf(CallerGone)
  void source.send(CONTENT.subarray(1000))
  source.end()
  await using _ = await received
  growing.finish()
  expect((await readSome(other.read(), LARGEST)).equals(CONTENT)).toBe(true)
})

test('A file that is given up fails for its readers, and one that never began leaves nothing open', async () => {
  const { join } = (() => {
    using growing = new GrowingFile(undefined)
    return { join: growing.join() }
  })()
  await expect(join).rejects.toThrow('given up before it was stored')
  const growing = new GrowingFile(undefined)
  expect(() => growing.finish()).toThrow('before it was received')
  await using folder = await temporaryFolder()
  growing.fail(BROKEN)
  {
    await using staged = await stage(folder.path, contentOf({ ...SMALL, size: 10 }), { maxBytes: 0, growing })
    growing.finish()
    await expect(growing.join()).rejects.toBe(BROKEN)
    expect(staged.size).toBe(10)
  }
  await vi.waitFor(async () => expect(await openTestFiles()).toBe(0), 10_000)
})

test('A disk that fails meanwhile fails the file, and leaves nothing', async () => {
  await using folder = await temporaryFolder()
  const prototype = await handlePrototype(folder.path)
  const full = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
  for (const call of ['write', 'datasync'] as const) {
    // The second: the first bytes are read by then.
    const real = prototype[call]
    let calls = 0
    vi.spyOn(prototype, call).mockImplementation(function (this: FileHandle, ...given: never[]) {
      return ++calls > (call === 'write' ? 1 : 0) ? Promise.reject(full) : Reflect.apply(real, this, given)
    })
    const source = handFed()
    const growing = new GrowingFile(LARGEST)
    const received = (async () => {
      await using staged = await stage(folder.path, source, { maxBytes: 0, growing })
      await staged.sync()
    })()
    received.catch((error: unknown) => growing.fail(error))
    void source.send(CONTENT.subarray(0, 1000))
    using reader = await joined(growing)
    const chunks = reader.read()
    expect(await readSome(chunks, 1000)).toHaveLength(1000)
    void source.send(CONTENT.subarray(1000))
    source.end()
    await expect(received).rejects.toBe(full)
    await expect(readSome(chunks, LARGEST)).rejects.toBe(full)
    expect(await readdir(folder.path)).toEqual([])
    vi.restoreAllMocks()
  }
  await vi.waitFor(async () => expect(await openTestFiles()).toBe(0), 10_000)
})

const SMALL: Plan = { size: 0, chunks: [7], announced: 'nothing', passing: true, end: 'finish', readers: [] }

test('Sixteen readers of 100 MiB, some of them slow, cost a buffer each', async () => {
  await using folder = await temporaryFolder()
  const size = 100 * MIB
  const chunk = randomBytes(64 * 1024)
  const before = memory()
  let most = 0
  async function* source() {
    for (let position = 0; position < size; position += chunk.length) {
      yield chunk
      if (position % (8 * MIB) === 0) most = Math.max(most, memory())
      await turn()
    }
  }
  using growing = new GrowingFile(size)
  const stored = Promise.withResolvers<void>()
  const readers = Array.from({ length: 16 }, async (_, number) => {
    using reader = await joined(growing)
    let bytes = 0
    for await (const piece of reader.read()) {
      expect(piece[0]).toBe(chunk[bytes % chunk.length])
      // Slow ones stop after a mebibyte until everything is stored.
      if (bytes < MIB && bytes + piece.length >= MIB && number % 2 === 0) await stored.promise
      bytes += piece.length
      most = Math.max(most, memory())
    }
    return bytes
  })
  await using _ = await stage(folder.path, source(), { maxBytes: 0, growing }, { passing: true })
  stored.resolve()
  growing.finish()
  expect(await Promise.all(readers)).toEqual(Array.from({ length: 16 }, () => size))
  expect(most - before).toBeLessThan(48 * MIB)
})

function memory(): number {
  const { external, heapUsed } = process.memoryUsage()
  return external + heapUsed
}

test('Who keeps up gets what was just written from memory, and from the file once that is used for something else', async () => {
  await using folder = await temporaryFolder()
  const file = await open(join(folder.path, 'file'), 'wx+')
  const retired = vi.fn(() => void file.close())
  using growing = new GrowingFile(undefined)
  const inMemory = randomBytes(3 * HELD_BACK)
  growing.began(new SharedFile(file.fd, 0, retired), {
    from: HELD_BACK,
    copy: (buffer, length, at) => (at < HELD_BACK ? 0 : inMemory.copy(buffer, 0, at, at + length)),
  })
  await file.write(Buffer.alloc(3 * HELD_BACK, 'f'))
  growing.grew(3 * HELD_BACK)
  using reader = await joined(growing)
  const chunks = () => reader.read({ start: HELD_BACK, end: 2 * HELD_BACK - 1 })
  const latest = inMemory.subarray(HELD_BACK, 2 * HELD_BACK)
  expect((await readSome(chunks(), HELD_BACK)).equals(latest), 'from memory').toBe(true)
  const both = await readSome(reader.read({ start: HELD_BACK - 1, end: HELD_BACK }), 2)
  expect(both.equals(Buffer.of(102, latest[0] ?? 0)), 'from the file as far as memory, from there on from that').toBe(
    true,
  )
  growing.forget()
  expect((await readSome(chunks(), HELD_BACK)).equals(Buffer.alloc(HELD_BACK, 'f')), 'from the file').toBe(true)
  growing.fail(BROKEN)
  reader[Symbol.dispose]()
  expect(retired).toHaveBeenCalledOnce()
})
