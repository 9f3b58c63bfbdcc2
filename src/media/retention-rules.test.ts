import { expect, test } from 'vitest'
import { anyUnusedSince, type LocalRule, ruleFor, timed, unusedSince } from './retention-rules.ts'

const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000
const NOW = Date.parse('2030-03-04T12:00:00Z')

const rule = (changes: Partial<LocalRule>): LocalRule => ({
  olderThanDays: 30,
  largerThanBytes: 0,
  types: [],
  users: [],
  servers: [],
  ...changes,
})

const OLD = NOW - 31 * DAY_MS
const FILM = {
  origin: 'example.org',
  uploader: '@alice:example.org',
  contentType: 'Video/MP4; codecs=avc1',
  size: 1000,
  usedAt: OLD,
}

const goes = (changes: Partial<LocalRule>, media: Partial<typeof FILM> = {}) =>
  ruleFor(timed([rule(changes)], NOW), { ...FILM, ...media }) !== undefined

test('0 days is never; other ages have the hour added by which a noted read may be late', () => {
  expect(unusedSince(0, NOW)).toBeUndefined()
  expect(unusedSince(30, NOW)).toBe(NOW - 30 * DAY_MS - HOUR_MS)
  expect(timed([rule({ olderThanDays: 0 })], NOW)).toEqual([])
})

test('A rule of an age alone lets go whatever was not used for so long', () => {
  expect(goes({})).toBe(true)
  expect(goes({}, { usedAt: NOW - 30 * DAY_MS - HOUR_MS - 1 })).toBe(true)
  expect(goes({}, { usedAt: NOW - 30 * DAY_MS - HOUR_MS })).toBe(false)
  expect(ruleFor([anyUnusedSince(OLD + 1)], FILM)).toBeDefined()
})

test('All that a rule says has to hold', () => {
  expect(goes({ largerThanBytes: 999, types: ['video/*'], users: ['@a*:example.org'], servers: ['example.org'] })).toBe(
    true,
  )
  expect(goes({ largerThanBytes: 1000 })).toBe(false)
  expect(goes({ types: ['image/*', 'audio/ogg'] })).toBe(false)
  expect(goes({ types: ['VIDEO/mp4'] })).toBe(true)
  expect(goes({ users: ['@bob:*'] })).toBe(false)
  expect(goes({ servers: ['*.example.org'] })).toBe(false)
})

test('What was uploaded by nobody that is known is meant by no rule about users', () => {
  const nobodys = { ...FILM, uploader: null }
  expect(ruleFor(timed([rule({ users: ['*'] })], NOW), nobodys)).toBeUndefined()
  expect(ruleFor(timed([rule({})], NOW), nobodys)).toBeDefined()
})

test('Any of several rules is enough, and the first that holds counts', () => {
  const rules = timed([rule({ olderThanDays: 365 }), rule({ types: ['video/*'] }), rule({})], NOW)
  expect(ruleFor(rules, FILM)).toBe(rules[1])
  expect(ruleFor(rules, { ...FILM, contentType: 'text/plain' })).toBe(rules[2])
})
