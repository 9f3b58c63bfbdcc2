import { expect, test } from 'vitest'
import { recordingLog } from '../../test/support/log.ts'
import { openMetrics } from '../lib/metrics.ts'
import { PreviewDoors, type PreviewRules } from './doors.ts'

const RULES: PreviewRules = {
  allowedNetworks: ['0.0.0.0/0'],
  disallowedNetworks: ['10.0.0.0/8'],
  disallowedUrls: [],
  previewUnsafeCertificates: false,
}

function open(environment: Readonly<Record<string, string>> = {}) {
  const { log, lines } = recordingLog()
  const events = { log, metrics: openMetrics({ version: 'test' }) }
  return { doors: new PreviewDoors({ events, clock: { now: () => 0 }, random: () => 0.5, environment }), lines }
}

test.each(['HTTPS_PROXY', 'http_proxy', 'ALL_PROXY'])(
  'With %s set the start says that it is not used',
  async (name) => {
    const { doors, lines } = open({ [name]: 'http://proxy.example:3128' })
    await using _ = doors
    expect(lines.map(({ msg }) => msg)).toEqual([
      expect.stringContaining(`${name} is set, and not used for URL previews`),
    ])
    expect(open().lines).toEqual([])
  },
)

test.each([
  ['allowedNetworks', ['0.0.0.0/0', '::/0']],
  ['disallowedNetworks', []],
  ['disallowedUrls', ['example.org']],
  ['previewUnsafeCertificates', true],
])('Homeservers with other %s have a door of their own', async (key, value) => {
  await using doors = open().doors
  const door = doors.for(RULES)
  expect(doors.for({ ...RULES })).toBe(door)
  expect(doors.for({ ...RULES, [key]: value })).not.toBe(door)
})

test('A door is closed when nobody has its rules any more, and no other', async () => {
  await using doors = open().doors
  const other = { ...RULES, disallowedNetworks: [] }
  const [gone, stays] = [doors.for(RULES), doors.for(other)]
  doors.configure([other])
  expect(doors.for(other)).toBe(stays)
  expect(doors.for(RULES)).not.toBe(gone)
})

test('A door names the pattern that forbids an address', async () => {
  await using doors = open().doors
  const door = doors.for({ ...RULES, disallowedUrls: ['a.test', '*.example.org/b*'] })
  expect(door.patternAgainst(new URL('http://www.example.org/bc'))).toBe('*.example.org/b*')
  expect(door.patternAgainst(new URL('http://www.example.org/c'))).toBeUndefined()
})
