import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { MediaRecord } from '../db/media.ts'
import { GrowingFile } from '../datastores/growing-file.ts'
import { CallerGone } from '../lib/errors.ts'
import { type FetchProgress, SharedFetch } from './shared-fetch.ts'

const LONG_MS = 60_000
const never = new AbortController().signal
const record = { mediaId: 'one' } as MediaRecord
const file = () => ({ contentType: 'image/png', fileName: null, growing: new GrowingFile(undefined) })

/** A fetch that does what the test says. */
function begin() {
  const handed = Promise.withResolvers<{ progress: FetchProgress; signal: AbortSignal }>()
  const end = Promise.withResolvers<void>()
  const fetch = new SharedFetch(async (progress, signal) => {
    handed.resolve({ progress, signal })
    signal.addEventListener('abort', () => end.reject(signal.reason))
    await end.promise
  })
  return { fetch, handed: handed.promise, end: () => end.resolve(), fail: (error: unknown) => end.reject(error) }
}

describe('A fetch for several', () => {
  test('gives each the file as soon as it begins to come, and the record before the work is quite done', async () => {
    const { fetch, handed, end } = begin()
    const [one, other] = [fetch.join(never, LONG_MS), fetch.join(never, LONG_MS)]
    const { progress } = await handed
    const arriving = file()
    progress.arrives(arriving)
    const found = await one
    expect(found).toMatchObject({ kind: 'arriving', file: arriving })
    expect(await other).toMatchObject({ kind: 'arriving', file: arriving })
    progress.stored(record)
    expect(found.kind === 'arriving' && (await found.stored)).toBe(record)
    end()
    await fetch.ended
  })

  test('is not for whoever comes once its file has broken off', async () => {
    const { fetch, handed, end } = begin()
    const { progress } = await handed
    const arriving = file()
    progress.arrives(arriving)
    expect(fetch.isStopped).toBe(false)
    arriving.growing.fail(new Error('broken'))
    expect(fetch.isStopped, 'though it has things to put away').toBe(true)
    end()
    await fetch.ended
  })

  test('fails for each with the same', async () => {
    const { fetch, fail } = begin()
    const all = [fetch.join(never, LONG_MS), fetch.join(never, LONG_MS)]
    fail(new Error('broken'))
    for (const one of all) await expect(one).rejects.toThrow('broken')
    await expect(fetch.join(never, LONG_MS), 'also who comes later').rejects.toThrow('broken')
    await fetch.ended
  })

  test('is waited for no longer than each wants, as long as nothing is heard of the file', async () => {
    const { fetch, handed, end } = begin()
    await expect(fetch.join(never, 1)).rejects.toMatchObject({ reason: 'not_yet_uploaded' })
    const patient = fetch.join(never, LONG_MS)
    const { progress, signal } = await handed
    expect(signal.aborted, 'whoever got this answer may come again').toBe(false)
    progress.answered()
    const late = fetch.join(never, 0)
    await turn()
    progress.stored(record)
    expect(await Promise.all([patient, late])).toMatchObject([{ record }, { record }])
    end()
  })

  test('goes on when some leave, and stops when the last one does', async () => {
    const { fetch, handed } = begin()
    const callers = Array.from({ length: 3 }, () => new AbortController())
    const waiting = callers.map(({ signal }) => fetch.join(signal, LONG_MS).catch((error: unknown) => error))
    const { signal } = await handed
    for (const [index, caller] of callers.entries()) {
      expect([signal.aborted, fetch.isStopped], `${index} have left`).toEqual([false, false])
      caller.abort()
    }
    expect([signal.aborted, fetch.isStopped]).toEqual([true, true])
    for (const error of await Promise.all(waiting)) expect(error).toBeInstanceOf(CallerGone)
    await fetch.ended
  })

  test('also stops for who leaves after the file has begun to come, unless half of it is here', async () => {
    for (const [share, stops] of [
      [0.49, true],
      [0.5, false],
    ] as const) {
      const { fetch, handed, end } = begin()
      const caller = new AbortController()
      const joined = fetch.join(caller.signal, LONG_MS)
      const { progress, signal } = await handed
      progress.arrives(file())
      progress.got(share)
      await joined
      caller.abort()
      expect(signal.aborted).toBe(stops)
      end()
      await fetch.ended
    }
  })

  test('stops for somebody who had left before asking', async () => {
    const { fetch } = begin()
    await expect(fetch.join(AbortSignal.abort(), LONG_MS)).rejects.toBeInstanceOf(CallerGone)
    expect(fetch.isStopped).toBe(true)
    await fetch.ended
  })
})
