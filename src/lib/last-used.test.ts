import { expect, test } from 'vitest'
import { lastUsed } from './last-used.ts'

test('the entries that were used last are kept, and what goes is told', () => {
  const gone: string[] = []
  const kept = lastUsed<number>(3, { dispose: (value, key) => gone.push(`${key}=${value}`) })
  for (const [key, value] of [
    ['a', 1],
    ['b', 2],
    ['c', 3],
  ] as const)
    kept.set(key, value)
  expect(kept.get('a')).toBe(1)
  kept.set('d', 4)
  expect(gone).toEqual(['b=2'])
  expect([...kept.keys()]).toEqual(['d', 'a', 'c'])
  kept.delete('c')
  expect(gone).toEqual(['b=2', 'c=3'])
})

test('an empty one takes no room for what it could keep', () => {
  const before = process.memoryUsage()
  const kept = lastUsed<number>(10_000_000)
  const after = process.memoryUsage()
  expect(after.heapUsed + after.external - before.heapUsed - before.external).toBeLessThan(10_000_000)
  expect(kept.size).toBe(0)
})
