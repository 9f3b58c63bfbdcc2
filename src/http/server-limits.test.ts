import { expect, test } from 'vitest'
import { Refused } from '../lib/errors.ts'
import { ServerLimits } from './server-limits.ts'

const PER_SERVER = { requestsPerSecond: 1, burst: 2, capacityBytes: 1000, drainBytesPerMinute: 60_000 }

function held() {
  let now = 0
  return { limits: new ServerLimits({ now: () => now }), wait: (ms: number) => void (now += ms) }
}

/** As much of `rateLimit` as is looked at. */
const rules = (perServer: Partial<typeof PER_SERVER> = {}, enabled = true) =>
  ({ enabled, perServer: { ...PER_SERVER, ...perServer } }) as Parameters<ServerLimits['admitRequest']>[1]

/** How long who is refused has to wait, in ms; 0 for who is not. */
function waitOf(action: () => void): number | undefined {
  try {
    action()
    return 0
  } catch (error) {
    if (error instanceof Refused && error.reason === 'limited') return error.options.retryAfterMs
    throw error
  }
}

test('requests are counted for each server, however it writes its name', () => {
  const { limits, wait } = held()
  const ask = (origin: string) => waitOf(() => limits.admitRequest(origin, rules()))
  expect([ask('a.test'), ask('A.Test'), ask('a.TEST'), ask('b.test')]).toEqual([0, 0, 1000, 0])
  wait(1000)
  expect([ask('a.test'), ask('a.test')]).toEqual([0, 1000])
})

test('bytes are counted apart from requests', () => {
  const { limits } = held()
  const fetch = (bytes: number) => waitOf(() => limits.admitBytes('a.test', bytes, rules()))
  expect([fetch(999), fetch(5000), fetch(1)]).toEqual([0, 0, 5000])
  expect(waitOf(() => limits.admitRequest('a.test', rules()))).toBe(0)
})

test('without limits, and with limits of 0, nothing is counted', () => {
  const { limits } = held()
  const without = [rules({}, false), rules({ requestsPerSecond: 0, capacityBytes: 0 })]
  for (const rule of without) {
    for (let turn = 0; turn < 5; turn++) {
      expect(waitOf(() => limits.admitRequest('a.test', rule))).toBe(0)
      expect(waitOf(() => limits.admitBytes('a.test', 10_000, rule))).toBe(0)
    }
  }
  expect(waitOf(() => limits.admitRequest('a.test', rules()))).toBe(0)
})

test('look-ups of keys are counted for an IPv4 address, and for 64 bits of an IPv6 address', () => {
  const { limits, wait } = held()
  const seek = (address: string) => waitOf(() => limits.admitKeyLookup(address))
  for (let turn = 0; turn < 200; turn++) {
    expect(seek('192.0.2.1')).toBe(0)
    expect(seek(`2001:db8:0:1::${turn.toString(16)}`)).toBe(0)
  }
  expect([seek('192.0.2.1'), seek('192.0.2.2')]).toEqual([200, 0])
  expect([seek('2001:db8:0:1:ffff::'), seek('2001:db8:0:2::')]).toEqual([200, 0])
  wait(200)
  expect([seek('192.0.2.1'), seek('192.0.2.1')]).toEqual([0, 200])
})
