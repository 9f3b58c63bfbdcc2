import { expect, test } from 'vitest'
import type { LastRun } from '../db/jobs.ts'
import { dueIn, type Job, placed } from './schedule.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
const NOON = Date.parse('2030-03-04T12:00:00Z')

const job = (name: string, everyMs: number): Job => ({ name, everyMs, run: async () => {} })
const ended = (endedAt: number, changes: Partial<LastRun> = {}): LastRun => {
  const nothing = { succeededAgoMs: null, durationMs: 5, error: '', report: undefined, againInMs: null }
  return { job: 'sweep', endedAt, agoMs: 0, ...nothing, ...changes }
}

/** When a job that has its place at the 20th minute is due after it ended at some minutes past noon; as minutes past noon. */
function due(everyMs: number, endedMinutes: number, changes: Partial<LastRun> = {}): number {
  const last = ended(NOON + endedMinutes * MINUTE_MS, changes)
  return (dueIn({ ...job('sweep', everyMs), place: 20 * MINUTE_MS }, last) + last.agoMs) / MINUTE_MS + endedMinutes
}

test('What is done each hour or more seldom is spread over the hour; what is done more often has no place', () => {
  const jobs = [job('usage', MINUTE_MS), job('a', HOUR_MS), job('b', DAY_MS), job('c', HOUR_MS), job('d', 7 * DAY_MS)]
  expect(placed(jobs).map(({ name, place }) => [name, place / MINUTE_MS])).toEqual([
    ['usage', 0],
    ['a', 0],
    ['b', 15],
    ['c', 30],
    ['d', 45],
  ])
})

test('A job of each hour is due at its minute of the next hour, however long the last run took', () => {
  expect(due(HOUR_MS, 20)).toBe(80)
  expect(due(HOUR_MS, 21)).toBe(80)
  expect(due(HOUR_MS, 49)).toBe(80)
  expect(due(HOUR_MS, 51), 'not again within half an hour').toBe(140)
  expect(due(HOUR_MS, 0), 'it began elsewhere in the hour').toBe(80)
})

test('A job of each day is due at its minute about a day later', () => {
  expect(due(DAY_MS, 20)).toBe(24 * 60 + 20)
  expect(due(DAY_MS, 45)).toBe(24 * 60 + 20)
})

test('A job of each minute is due a minute after its end', () => {
  expect(due(MINUTE_MS, 7)).toBe(8)
})

test('A run that stopped before all was done, or failed, is followed soon', () => {
  expect(due(HOUR_MS, 20, { againInMs: 10_000 })).toBeCloseTo(20 + 1 / 6)
  expect(due(DAY_MS, 20, { error: 'the disk is full' })).toBe(25)
  expect(dueIn({ ...job('sweep', HOUR_MS), place: 0 }, ended(NOON, { agoMs: 3 * HOUR_MS }))).toBe(-2 * HOUR_MS)
})
