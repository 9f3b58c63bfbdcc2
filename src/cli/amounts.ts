/** Numbers as people read them, and what they write for times. */

export { bytes, count } from '../lib/amounts.ts'

const DAY_MS = 24 * 3_600_000
const DAYS_OF: Readonly<Record<string, number>> = { d: 1, w: 7, m: 30, y: 365 }

/** A time in ms since 1970 as a number, a date (`2026-01-31`) or an age (`90d`, `12w`, `6m`, `1y`); undefined for anything else. */
export function timeOf(text: string, now: number): number | undefined {
  const [, age, unit = ''] = /^(\d{1,5})([dwmy])$/.exec(text) ?? []
  if (age !== undefined) return now - Number(age) * (DAYS_OF[unit] ?? 1) * DAY_MS
  if (/^\d{12,15}$/.test(text)) return Number(text)
  const date = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(date) ? undefined : date
}
