import { expect, test } from 'vitest'
import { bytes, count, timeOf } from './amounts.ts'

test('amounts are written for people', () => {
  expect([0, 1023, 1024, 1.5 * 1024 ** 3, 2 ** 60].map(bytes)).toEqual([
    '0 bytes',
    '1023 bytes',
    '1.0 KiB',
    '1.5 GiB',
    '1024.0 PiB',
  ])
  expect(count(1_234_567)).toBe('1,234,567')
})

test('times are read as dates, ages and milliseconds, and nothing else', () => {
  const now = Date.parse('2026-06-30T12:00:00Z')
  expect(timeOf('2026-01-31', now)).toBe(Date.parse('2026-01-31T00:00:00Z'))
  expect(timeOf('2026-01-31T10:00:00Z', now)).toBe(Date.parse('2026-01-31T10:00:00Z'))
  expect(timeOf('30d', now)).toBe(Date.parse('2026-05-31T12:00:00Z'))
  expect(timeOf('2w', now)).toBe(Date.parse('2026-06-16T12:00:00Z'))
  expect(timeOf('1782000000000', now)).toBe(1_782_000_000_000)
  for (const text of ['', 'soon', '30', '2026', '2026-13-01', '-3d', '3x']) expect(timeOf(text, now)).toBeUndefined()
})
