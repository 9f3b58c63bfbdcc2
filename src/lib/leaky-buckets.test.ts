import { expect, test } from 'vitest'
import { LeakyBuckets } from './leaky-buckets.ts'

const TEN_A_SECOND = { capacity: 10, drainPerMinute: 600 }

function held(atMost = 100) {
  let now = 0
  const buckets = new LeakyBuckets({ now: () => now }, { atMost })
  return { buckets, wait: (ms: number) => void (now += ms) }
}

test('a bucket takes its capacity at once, then says when there is room for one more', () => {
  const { buckets, wait } = held()
  for (let turn = 0; turn < 10; turn++) expect(buckets.fill('a', 1, TEN_A_SECOND)).toBe(0)
  expect(buckets.fill('a', 1, TEN_A_SECOND)).toBe(100)
  wait(99)
  expect(buckets.fill('a', 1, TEN_A_SECOND)).toBe(1)
  wait(1)
  expect(buckets.fill('a', 1, TEN_A_SECOND)).toBe(0)
  expect(buckets.fill('a', 1, TEN_A_SECOND)).toBe(100)
})

test('whoever is refused does not make it fuller, and each name has its own', () => {
  const { buckets, wait } = held()
  for (let turn = 0; turn < 50; turn++) buckets.fill('a', 1, TEN_A_SECOND)
  expect(buckets.fill('b', 1, TEN_A_SECOND)).toBe(0)
  wait(1000)
  for (let turn = 0; turn < 10; turn++) expect(buckets.fill('a', 1, TEN_A_SECOND)).toBe(0)
})

test('a bucket that is not full takes what is larger than itself, and then nothing until it has drained', () => {
  const { buckets, wait } = held()
  expect(buckets.fill('a', 100, TEN_A_SECOND)).toBe(0)
  expect(buckets.fill('a', 1, TEN_A_SECOND)).toBe(9100)
  wait(9100)
  expect(buckets.fill('a', 1, TEN_A_SECOND)).toBe(0)
})

test('what needs no room always finds some once there is room for anything', () => {
  const { buckets } = held()
  buckets.fill('a', 10, TEN_A_SECOND)
  expect(buckets.fill('a', 0, TEN_A_SECOND)).toBe(0)
})

test('a changed limit counts at once', () => {
  const { buckets } = held()
  for (let turn = 0; turn < 10; turn++) buckets.fill('a', 1, TEN_A_SECOND)
  expect(buckets.fill('a', 1, { capacity: 20, drainPerMinute: 600 })).toBe(0)
  expect(buckets.fill('a', 1, { capacity: 5, drainPerMinute: 60 })).toBe(7000)
})

test('names that were not heard of for longest make room for others', () => {
  const { buckets } = held(2)
  for (const name of ['a', 'b', 'c']) buckets.fill(name, 10, TEN_A_SECOND)
  expect(buckets.fill('c', 1, TEN_A_SECOND)).toBe(100)
  expect(buckets.fill('a', 1, TEN_A_SECOND)).toBe(0)
})

test('a clock that goes back neither drains nor fills, and drains as always from then on', () => {
  const { buckets, wait } = held()
  for (let turn = 0; turn < 10; turn++) buckets.fill('a', 1, TEN_A_SECOND)
  wait(-60_000)
  expect(buckets.fill('a', 1, TEN_A_SECOND)).toBe(100)
  wait(100)
  expect(buckets.fill('a', 1, TEN_A_SECOND)).toBe(0)
})

test('instances that share hear of what the others let through, and are told in lumps', async () => {
  let level = 0
  let told = 0
  const share = async (_name: string, amount: number) => {
    told++
    return (level += amount)
  }
  const one = new LeakyBuckets({ now: () => 0 }, { atMost: 10, share })
  const other = new LeakyBuckets({ now: () => 0 }, { atMost: 10, share })
  const size = { capacity: 100, drainPerMinute: 60 }
  let taken = 0
  for (let turn = 0; turn < 200; turn++) {
    const waitMs = (turn % 2 === 0 ? one : other).fill('a', 1, size)
    if (waitMs === 0) taken++
    await Promise.resolve()
    await Promise.resolve()
  }
  expect(taken).toBeGreaterThanOrEqual(100)
  // Each may have let through nearly one lump of which the other does not know.
  expect(taken).toBeLessThanOrEqual(100 + 2 * 25)
  expect(told).toBeLessThanOrEqual(6)
})

test('what has drained is not told of any more', async () => {
  const amounts: number[] = []
  const share = async (_name: string, amount: number) => {
    amounts.push(amount)
    return undefined
  }
  let now = 0
  const buckets = new LeakyBuckets({ now: () => now }, { atMost: 10, share })
  for (let day = 0; day < 100; day++) {
    buckets.fill('a', 1, TEN_A_SECOND)
    now += 86_400_000
  }
  expect(amounts).toEqual([])
  for (let turn = 0; turn < 5; turn++) buckets.fill('a', 1, TEN_A_SECOND)
  expect(amounts).toEqual([5])
})
