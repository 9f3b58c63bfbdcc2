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
