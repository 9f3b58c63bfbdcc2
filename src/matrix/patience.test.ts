import { expect, test } from 'vitest'
import { Patience } from './patience.ts'

const never = new Promise<never>(() => {})

test('Patience ends with whoever asked, whatever is being waited for', async () => {
  const asker = new AbortController()
  const patience = new Patience(asker.signal, 60_000)
  const waiting = patience.wait(never)
  const reason = new Error('left')
  asker.abort(reason)
  await expect(waiting).rejects.toBe(reason)
  await expect(patience.wait(never)).rejects.toBe(reason)
  expect(patience.signal.reason).toBe(reason)
})

test('Patience ends when all together has taken thirty times as long as nothing may come, or a day', async () => {
  const { signal } = new AbortController()
  const patience = new Patience(signal, 2)
  expect(patience.totalMs).toBe(60)
  await expect(patience.wait(never)).rejects.toMatchObject({ reason: 'timed_out' })
  const long = new Patience(signal, 86_400_000)
  expect(long.totalMs).toBe(86_400_000)
  expect(await long.wait(Promise.resolve('soon'))).toBe('soon')
  long.end()
  expect(long.signal.aborted).toBe(true)
})
