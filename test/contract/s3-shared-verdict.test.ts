import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { S3Patience } from '../../src/datastores/s3/bucket.ts'
import { S3Failure } from '../../src/datastores/s3/failure.ts'
import { type Fault, type S3Double, startS3Double } from '../support/s3-double.ts'
import { type OpenedBucket, openTestBucket } from './bucket.ts'
import { put, readWhole } from './datastore.ts'

/** Whoever is tried again for so long has not heard of any verdict. */
const FOR_EVER: Partial<S3Patience> = { retryReadsMs: 3_600_000, retryWritesMs: 3_600_000, backoffAtMostMs: 200 }
const WARNING = 40

let cleanup: AsyncDisposableStack
let double: S3Double
let bucket: OpenedBucket

beforeEach(async () => {
  cleanup = new AsyncDisposableStack()
  double = cleanup.use(await startS3Double())
  bucket = cleanup.use(await openTestBucket({ port: double.port, options: double.options, patience: FOR_EVER }))
})
afterEach(() => cleanup.disposeAsync())

const many = (work: () => Promise<unknown>) => Array.from({ length: 40 }, work)
const failure = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  )
const received = (operation: string) => double.received.filter((request) => request.operation === operation).length
const untilReceived = (operation: string) => expect.poll(() => received(operation), { timeout: 20_000 }).toBe(1)

describe('When S3 fails for everybody', () => {
  test.for<readonly [string, (double: S3Double) => unknown, (double: S3Double) => unknown]>([
    ['refuses connections', (s3) => s3.goDown(), (s3) => s3.comeBack()],
    ['resets them', (s3) => s3.failAll({ kind: 'reset' }), (s3) => s3.heal()],
    ['answers 503', (s3) => s3.failAll({ kind: 'refused', status: 503, code: 'SlowDown' }), (s3) => s3.heal()],
  ])('and %s, all calls give up together, with one warning, until one works', async ([, begin, end]) => {
    const { datastore, lines } = bucket
    const location = await put(datastore, randomBytes(100))
    await begin(double)
    const reads = many(() => failure(datastore.open(location)))
    const failures = await Promise.all([...reads, failure(put(datastore, randomBytes(1000)))])
    for (const seen of failures) expect(seen).toMatchObject({ name: 'S3Failure', isServiceDown: true })
    expect(lines.filter(({ level }) => level >= WARNING).map(({ msg }) => msg)).toEqual([
      'a call to S3 failed; trying again',
    ])
    const before = received('GetObject')
    expect(await failure(datastore.open(location))).toBeInstanceOf(S3Failure)
    expect(received('GetObject')).toBeLessThanOrEqual(before + 1)

    await end(double)
    await datastore.check()
    double.fail('GetObject', { kind: 'reset' })
    expect(await readWhole(datastore, location)).toHaveLength(100)
  })
})

describe('A hiccup', () => {
  test('of all connections at once costs nobody an error', async () => {
    const { datastore } = bucket
    const location = await put(datastore, randomBytes(100))
    double.fail('GetObject', { kind: 'reset' }, 60)
    const reads = await Promise.all(many(() => readWhole(datastore, location)))
    expect(reads).toHaveLength(40)
    expect(received('GetObject')).toBe(100)
  })

  test('of one call says nothing about the service, however long it takes', async () => {
    const { datastore } = bucket
    const location = await put(datastore, randomBytes(100))
    double.fail('GetObject', { kind: 'reset' }, 25)
    expect(await readWhole(datastore, location)).toHaveLength(100)
  })

  test('between calls that work says nothing either', async () => {
    const { datastore } = bucket
    const location = await put(datastore, randomBytes(100))
    const broken: Fault = { kind: 'refused', status: 503, code: 'SlowDown' }
    double.fail('HeadObject', broken, 60)
    const state = { done: false }
    const sizes = Promise.all(many(() => datastore.sizeOf(location))).finally(() => (state.done = true))
    while (!state.done) await readWhole(datastore, location)
    expect(new Set(await sizes)).toEqual(new Set([100]))
  })
})

describe('A bucket that is not to be used any more', () => {
  test('ends the calls under way and those that wait to be tried again', { timeout: 60_000 }, async () => {
    const { datastore } = bucket
    double.failAll({ kind: 'hangs' }, ['DeleteObject', 'PutObject'])
    double.failAll({ kind: 'reset' }, ['GetObject'])
    const underWay = [datastore.delete('a'), put(datastore, randomBytes(1000)), datastore.open('b')].map(failure)
    await untilReceived('DeleteObject')
    await untilReceived('PutObject')
    const began = performance.now()
    datastore.abort?.()
    for (const seen of await Promise.all(underWay)) expect(seen).toBeInstanceOf(S3Failure)
    expect(await failure(datastore.delete('a'))).toMatchObject({ message: expect.stringContaining('server is ending') })
    // Each attempt would have hung for fifteen seconds.
    expect(performance.now() - began).toBeLessThan(10_000)
  })
})
