import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { WellKnown } from './well-known.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

type Said = { readonly status?: number; readonly headers?: Record<string, string>; readonly body?: string } | Error

/** A well-known look-up whose time the test holds, and whose server says what the test wants. */
function held(random = 0.5) {
  let now = Date.parse('2026-01-01T00:00:00Z')
  let said: Said = { body: '{"m.server":"one.test"}' }
  let asked = 0
  const get = async (url: URL) => {
    asked++
    if (said instanceof Error) throw said
    const { status = 200, headers = {}, body = '' } = said
    return { status, headers, url, body: Readable.from([Buffer.from(body)], { objectMode: false }) }
  }
  const wellKnown = new WellKnown({
    clock: { now: () => now },
    door: { get },
    random: () => random,
    pause: async () => {},
  })
  return {
    say: (next: Said) => void (said = next),
    wait: (ms: number) => void (now += ms),
    find: async () => (await wellKnown.find('example.org'))?.name,
    /** Lets what happens in the background happen. */
    settle: () => new Promise((resolve) => setImmediate(resolve)),
    asked: () => asked,
    together: (count: number) => Promise.all(Array.from({ length: count }, () => wellKnown.find('example.org'))),
  }
}

const delegation = (to: string, headers: Record<string, string> = {}) => ({
  headers,
  body: JSON.stringify({ 'm.server': to }),
})

/** After how many ms a new answer is waited for, found by asking at shorter and shorter intervals. */
async function lifeOf(answer: Said, random?: number): Promise<number> {
  const alive = async (ms: number) => {
    const { say, find, wait, asked } = held(random)
    say(answer)
    await find()
    say(new Error('down'))
    wait(ms)
    const before = asked()
    // In the last fifth it is asked for in the background, once; when it has ended, it is asked for three times.
    await find()
    return asked() - before < 2
  }
  let [low, high] = [0, 3 * DAY]
  while (high - low > 1000) {
    const middle = Math.floor((low + high) / 2)
    if (await alive(middle)) low = middle
    else high = middle
  }
  return high
}

describe('A delegation is kept', () => {
  test.each<[string, Record<string, string>, number]>([
    ['for a day', {}, DAY],
    ['as long as Cache-Control says', { 'cache-control': 'public, max-age=7200' }, 2 * HOUR],
    ['as long as Cache-Control says, in quotes', { 'cache-control': 'MAX-AGE="7200"' }, 2 * HOUR],
    ['until the time in Expires', { expires: 'Thu, 01 Jan 2026 06:00:00 GMT' }, 6 * HOUR],
    [
      'as Cache-Control says rather than Expires',
      { 'cache-control': 'max-age=7200', expires: 'Thu, 01 Jan 2026 06:00:00 GMT' },
      2 * HOUR,
    ],
    ['for two days at most', { 'cache-control': 'max-age=31536000' }, 2 * DAY],
    ['for five minutes at least', { 'cache-control': 'max-age=1' }, 5 * MINUTE],
    ['for five minutes if it should not be kept', { 'cache-control': 'no-store' }, 5 * MINUTE],
    ['for five minutes if Expires is no date', { expires: '0' }, 5 * MINUTE],
  ])('%s', async (_, headers, life) => {
    expect(Math.abs((await lifeOf(delegation('one.test', headers))) - life)).toBeLessThanOrEqual(1000)
  })

  test('for a tenth more or less, so that not all are asked for at one time', async () => {
    expect(Math.abs((await lifeOf(delegation('one.test'), 0)) - 0.9 * DAY)).toBeLessThanOrEqual(1000)
    expect(Math.abs((await lifeOf(delegation('one.test'), 1)) - 1.1 * DAY)).toBeLessThanOrEqual(1000)
  })
})

test('In the last fifth of its life an answer is still used, while a new one is asked for', async () => {
  const { say, find, wait, settle, asked } = held()
  expect(await find()).toBe('one.test')
  wait(0.79 * DAY)
  await find()
  expect(asked()).toBe(1)
  say(delegation('two.test'))
  wait(0.02 * DAY)
  expect(await find()).toBe('one.test')
  await settle()
  expect(await find()).toBe('two.test')
  expect(asked()).toBe(2)
})

test('However many want to know, it is asked for once', async () => {
  const { together, asked } = held()
  await together(50)
  expect(asked()).toBe(1)
})

describe('While the server cannot be asked', () => {
  test.each<[string, Said]>([
    ['does not answer', new Error('down')],
    ['answers 503', { status: 503 }],
    ['answers 429', { status: 429 }],
  ])('(%s) its last answer is used for two more hours, and it is tried again after two minutes', async (_, failure) => {
    const { say, find, wait, asked } = held()
    await find()
    say(failure)
    wait(DAY)
    expect(await find()).toBe('one.test')
    expect(asked()).toBe(4)
    wait(MINUTE)
    expect(await find()).toBe('one.test')
    expect(asked()).toBe(4)
    wait(MINUTE)
    expect(await find()).toBe('one.test')
    expect(asked()).toBe(7)
    wait(2 * HOUR)
    expect(await find()).toBeUndefined()
  })

  test('one that never answered is asked again after 2, 4, 8 … minutes, and at least once an hour', async () => {
    const { say, find, wait, asked } = held()
    say(new Error('down'))
    const pauses: number[] = []
    for (let attempt = 1; attempt <= 8; attempt++) {
      await find()
      let minutes = 0
      while (asked() === attempt) {
        wait(MINUTE)
        minutes++
        await find()
      }
      pauses.push(minutes)
    }
    expect(pauses).toEqual([2, 4, 8, 16, 32, 60, 60, 60])
  })

  test('a new answer is used at once', async () => {
    const { say, find, wait } = held()
    say(new Error('down'))
    expect(await find()).toBeUndefined()
    say(delegation('two.test'))
    wait(2 * MINUTE)
    expect(await find()).toBe('two.test')
  })
})

test('A server that says that it does not delegate is believed at once, and for an hour', async () => {
  const { say, find, wait, asked } = held()
  await find()
  say({ status: 404 })
  wait(DAY)
  expect(await find()).toBeUndefined()
  expect(asked()).toBe(2)
  say(delegation('two.test'))
  wait(HOUR - 1)
  expect(await find()).toBeUndefined()
  wait(1)
  expect(await find()).toBe('two.test')
})
