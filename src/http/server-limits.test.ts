import { expect, test } from 'vitest'
import { LocalBuckets } from '../coordination/byte-buckets.ts'
import { recordingLog } from '../../test/support/log.ts'
import { openMetrics } from '../lib/metrics.ts'
import { Refused } from '../lib/errors.ts'
import { ServerLimits } from './server-limits.ts'

const PER_SERVER = { requestsPerSecond: 1, burst: 2, capacityBytes: 1000, drainBytesPerMinute: 60_000 }

function held() {
  let now = 0
  const clock = { now: () => now }
  const events = { log: recordingLog().log, metrics: openMetrics({ version: 'test' }) }
  return {
    limits: new ServerLimits({ clock, events, byteBuckets: new LocalBuckets({ clock }) }),
    wait: (ms: number) => void (now += ms),
  }
}

/** As much of `rateLimit` as is looked at. */
const rules = (perServer: Partial<typeof PER_SERVER> = {}, enabled = true) =>
  ({ enabled, perServer: { ...PER_SERVER, ...perServer } }) as Parameters<ServerLimits['admitRequest']>[1]

/** How long each of these has to wait in turn, in ms; 0 for who is not refused. */
const inTurn =
  <Asked>(admit: (asked: Asked) => void | Promise<void>) =>
  async (...asked: readonly Asked[]) => {
    const waits: (number | undefined)[] = []
    for (const one of asked) waits.push(await waitOf(() => admit(one)))
    return waits
  }

async function waitOf(admit: () => void | Promise<void>): Promise<number | undefined> {
  try {
    await admit()
    return 0
  } catch (error) {
    if (error instanceof Refused && error.reason === 'limited') return error.options.retryAfterMs
    throw error
  }
}

test('requests are counted for each server, however it writes its name', async () => {
  const { limits, wait } = held()
  const ask = inTurn((origin: string) => limits.admitRequest(origin, rules()))
  expect(await ask('a.test', 'A.Test', 'a.TEST', 'b.test')).toEqual([0, 0, 1000, 0])
  wait(1000)
  expect(await ask('a.test', 'a.test')).toEqual([0, 1000])
})

test('bytes are counted apart from requests, and also however a server writes its name', async () => {
  const { limits } = held()
  const fetch = inTurn(([origin, bytes]: readonly [string, number]) => limits.admitBytes(origin, bytes, rules()))
  const waits = await fetch(['a.test', 999], ['a.test', 5000], ['A.test', 1], ['b.test', 1])
  expect(waits).toEqual([0, 0, expect.closeTo(5000, -1), 0])
  expect(await inTurn(() => limits.admitRequest('a.test', rules()))(1)).toEqual([0])
})

test('without limits, and with limits of 0, nothing is counted', async () => {
  const { limits } = held()
  for (const rule of [rules({}, false), rules({ requestsPerSecond: 0, capacityBytes: 0 })]) {
    const ask = inTurn(async (bytes: number) => {
      limits.admitRequest('a.test', rule)
      await limits.admitBytes('a.test', bytes, rule)
    })
    expect(await ask(9999, 9999, 9999, 9999)).toEqual([0, 0, 0, 0])
  }
  expect(await inTurn(() => limits.admitRequest('a.test', rules()))(1, 2)).toEqual([0, 0])
})

test('look-ups of keys are counted for an IPv4 address, and for 64 bits of an IPv6 address', async () => {
  const { limits, wait } = held()
  const seek = inTurn((address: string) => limits.admitKeyLookup(address))
  for (let turn = 0; turn < 200; turn++) {
    expect(await seek('192.0.2.1', `2001:db8:0:1::${turn.toString(16)}`)).toEqual([0, 0])
  }
  expect(await seek('192.0.2.1', '192.0.2.2')).toEqual([200, 0])
  expect(await seek('2001:db8:0:1:ffff::', '2001:db8:0:2::')).toEqual([200, 0])
  wait(200)
  expect(await seek('192.0.2.1', '192.0.2.1')).toEqual([0, 200])
})
