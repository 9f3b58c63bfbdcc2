import { expect, test } from 'vitest'
import { LocalBuckets } from './byte-buckets.ts'

/** 1000 bytes, 100 more for the last one; a minute empties 600. */
const SIZE = { capacityBytes: 1000, drainBytesPerMinute: 600, overflowLimitBytes: 100 }
const A_SECOND = 1000

function open(most?: number) {
  let now = 0
  const buckets = new LocalBuckets({ clock: { now: () => now }, ...(most === undefined ? {} : { most }) })
  return { buckets, wait: (ms: number) => void (now += ms) }
}

test('A bucket that is full refuses, says for how long, and then takes again', async () => {
  const { buckets, wait } = open()
  expect(await buckets.take('a', 1000, SIZE)).toBe(0)
  const waitMs = await buckets.take('a', 10, SIZE)
  expect(waitMs).toBeGreaterThan(0)
  wait(waitMs - 2)
  expect(await buckets.take('a', 10, SIZE)).toBeGreaterThan(0)
  wait(2)
  expect(await buckets.take('a', 10, SIZE)).toBe(0)
})

test('What does not fit any more has to wait until enough has drained, and no longer', async () => {
  const { buckets, wait } = open()
  await buckets.add('a', 900, SIZE)
  // 900 + 500 is 300 more than 1100; ten bytes leave a second.
  expect(await buckets.take('a', 500, SIZE)).toBe(30 * A_SECOND + 1)
  wait(30 * A_SECOND + 1)
  expect(await buckets.take('a', 500, SIZE)).toBe(0)
})

test('One thing may overfill it, by the overflow limit and no more', async () => {
  const { buckets } = open()
  await buckets.take('a', 999, SIZE)
  expect(await buckets.take('a', 102, SIZE)).toBeGreaterThan(0)
  expect(await buckets.take('a', 101, SIZE)).toBe(0)
  expect(await buckets.take('a', 1, SIZE)).toBeGreaterThan(0)
})

test('What is larger than any bucket goes into an empty one', async () => {
  const { buckets, wait } = open()
  await buckets.take('a', 100, SIZE)
  expect(await buckets.take('a', 5000, SIZE)).toBe(10 * A_SECOND + 1)
  wait(10 * A_SECOND + 1)
  expect(await buckets.take('a', 5000, SIZE)).toBe(0)
  expect(await buckets.take('a', 1, SIZE)).toBe(400 * A_SECOND + 1)
})

test('Asking whether there is room changes nothing', async () => {
  const { buckets } = open()
  await buckets.take('a', 999, SIZE)
  for (let times = 0; times < 10; times++) expect(await buckets.take('a', 0, SIZE)).toBe(0)
  expect(await buckets.take('a', 1, SIZE)).toBe(0)
  expect(await buckets.take('a', 0, SIZE)).toBeGreaterThan(0)
})

test('What came unasked counts, also beyond the brim', async () => {
  const { buckets, wait } = open()
  await buckets.add('a', 3000, SIZE)
  wait(100 * A_SECOND)
  expect(await buckets.take('a', 1, SIZE)).toBe(100 * A_SECOND + 1)
})

test('Everybody has a bucket of their own', async () => {
  const { buckets } = open()
  await buckets.add('a', 3000, SIZE)
  expect(await buckets.take('b', 1000, SIZE)).toBe(0)
})

test('A changed size counts at once', async () => {
  const { buckets } = open()
  await buckets.take('a', 1000, SIZE)
  expect(await buckets.take('a', 1, { ...SIZE, capacityBytes: 2000 })).toBe(0)
})

test('Buckets that have drained are forgotten', async () => {
  const { buckets, wait } = open()
  for (let index = 0; index < 100; index++) await buckets.add(`${index}`, 600, SIZE)
  await buckets.add('full', 6000, SIZE)
  wait(61 * A_SECOND)
  await buckets.add('new', 1, SIZE)
  expect(buckets.count).toBe(2)
  expect(await buckets.take('full', 1, SIZE)).toBeGreaterThan(0)
})

test('However many callers there are, only so many are remembered: the last ones', async () => {
  const { buckets } = open(10)
  for (let index = 0; index < 1000; index++) await buckets.add(`${index}`, 3000, SIZE)
  expect(buckets.count).toBe(10)
  expect(await buckets.take('999', 1, SIZE)).toBeGreaterThan(0)
  expect(await buckets.take('0', 1, SIZE)).toBe(0)
})
