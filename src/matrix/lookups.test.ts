import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import { CallerGone } from '../lib/errors.ts'
import { SharedLookups } from './lookups.ts'
import type { Found } from './lookups.ts'

function heldLookups(most = 100) {
  let now = 1_000_000
  const lookups = new SharedLookups<string>({ clock: { now: () => now }, most })
  const asked: string[] = []
  /** Asks for `key`; the answer is the key in capitals unless another outcome is given. */
  const find = (key: string, outcome?: () => Promise<Found<string>>, signal?: AbortSignal) =>
    lookups.find(
      {
        key,
        tags: [`key ${key}`],
        ask: async () => {
          asked.push(key)
          return outcome ? outcome() : { value: key.toUpperCase(), keepMs: 1000, tags: ['everybody'] }
        },
      },
      { signal },
    )
  return { lookups, find, asked, wait: (ms: number) => void (now += ms) }
}

describe('an answer', () => {
  test('is kept for as long as it says, and not a millisecond longer', async () => {
    const { find, asked, wait } = heldLookups()
    expect(await find('a')).toBe('A')
    wait(999)
    expect(await find('a')).toBe('A')
    expect(asked).toEqual(['a'])
    wait(1)
    await find('a')
    expect(asked).toEqual(['a', 'a'])
  })

  test('is not kept when it says 0', async () => {
    const { find, asked } = heldLookups()
    await find('a', async () => ({ value: 'A', keepMs: 0 }))
    await find('a', async () => ({ value: 'A', keepMs: 0 }))
    expect(asked).toEqual(['a', 'a'])
  })

  test('that is not kept takes no room from those that are', async () => {
    const { find, asked } = heldLookups(1)
    await find('a')
    await find('b', async () => ({ value: 'B', keepMs: 0 }))
    await find('a')
    expect(asked).toEqual(['a', 'b'])
  })

  test('that is a failure reaches the caller and is not kept', async () => {
    const { find, asked } = heldLookups()
    await expect(find('a', () => Promise.reject(new Error('down')))).rejects.toThrow('down')
    expect(await find('a')).toBe('A')
    expect(asked).toEqual(['a', 'a'])
  })

  test('of which there are too many makes room by dropping the least used', async () => {
    const { find, asked } = heldLookups(2)
    for (const key of ['a', 'b', 'a', 'c', 'a', 'b']) await find(key)
    expect(asked).toEqual(['a', 'b', 'c', 'b'])
  })
})

describe('a look-up under way', () => {
  test('is shared by everybody who asks the same', async () => {
    const { find, asked } = heldLookups()
    expect(await Promise.all([find('a'), find('b'), find('a'), find('a')])).toEqual(['A', 'B', 'A', 'A'])
    expect(asked).toEqual(['a', 'b'])
  })

  test('goes on for the others, and its answer is kept, when the caller who began it hangs up', async () => {
    const { find, asked } = heldLookups()
    const answer = Promise.withResolvers<Found<string>>()
    const caller = new AbortController()
    const first = find('a', () => answer.promise, caller.signal)
    const second = find('a')
    caller.abort()
    await expect(first).rejects.toBeInstanceOf(CallerGone)
    answer.resolve({ value: 'late', keepMs: 1000 })
    expect(await second).toBe('late')
    expect(await find('a')).toBe('late')
    expect(asked).toEqual(['a'])
  })

  test('that fails after everybody hung up does not bring the server down', async () => {
    const { find } = heldLookups()
    const answer = Promise.withResolvers<Found<string>>()
    const caller = new AbortController()
    const only = find('a', () => answer.promise, caller.signal)
    caller.abort()
    await expect(only).rejects.toBeInstanceOf(CallerGone)
    answer.reject(new Error('down'))
    await new Promise((resolve) => setImmediate(resolve))
    expect(await find('a')).toBe('A')
  })

  test('leaves no listener on the signal of a caller whose connection lives on', async () => {
    const { find } = heldLookups()
    const caller = new AbortController()
    await find('a', undefined, caller.signal)
    expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0)
  })

  test('is not joined by a caller that has gone already', async () => {
    const { find } = heldLookups()
    await expect(find('a', undefined, AbortSignal.abort())).rejects.toBeInstanceOf(CallerGone)
  })
})

describe('forgetting', () => {
  test('drops the answers with the tag, whether the question or the answer brought it, and no others', async () => {
    const { lookups, find, asked } = heldLookups()
    await find('a')
    await find('b')
    lookups.forget('key a')
    await find('a')
    await find('b')
    expect(asked).toEqual(['a', 'b', 'a'])
    lookups.forget('everybody')
    await find('a')
    await find('b')
    expect(asked).toEqual(['a', 'b', 'a', 'a', 'b'])
  })

  test.each([
    ['by tag', (lookups: SharedLookups<string>) => lookups.forget('key a')],
    ['of all under way', (lookups: SharedLookups<string>) => lookups.forgetLookupsUnderWay()],
    ['of everything', (lookups: SharedLookups<string>) => lookups.forgetAll()],
  ])(
    '%s during a look-up: its answer reaches those who waited, is not kept, and is not waited for again',
    async (_, forget) => {
      const { lookups, find, asked } = heldLookups()
      const old = Promise.withResolvers<Found<string>>()
      const before = find('a', () => old.promise)
      forget(lookups)
      expect(await find('a')).toBe('A')
      old.resolve({ value: 'stale', keepMs: 1000 })
      expect(await before).toBe('stale')
      expect(await find('a')).toBe('A')
      expect(asked).toEqual(['a', 'a'])
    },
  )

  test('still finds an answer that was renewed after it had expired', async () => {
    const { lookups, find, asked, wait } = heldLookups()
    await find('a')
    wait(2000)
    await find('a')
    lookups.forget('everybody')
    await find('a')
    expect(asked).toEqual(['a', 'a', 'a'])
  })

  test('everything leaves nothing', async () => {
    const { lookups, find, asked } = heldLookups()
    await find('a')
    lookups.forgetAll()
    await find('a')
    expect(asked).toEqual(['a', 'a'])
  })
})
