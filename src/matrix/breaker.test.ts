import { describe, expect, test } from 'vitest'
import { Breaker, BreakerOpen } from './breaker.ts'

function heldBreaker() {
  let now = 1_000_000
  let sent = 0
  const events: string[] = []
  const breaker = new Breaker({
    clock: { now: () => now },
    onOpen: (pauseMs) => events.push(`open ${pauseMs}`),
    onClose: () => events.push('closed'),
  })
  const attempt = (outcome: () => Promise<string>) =>
    breaker
      .run(3, () => {
        sent += 1
        return outcome()
      })
      .catch((error: unknown) => error)
  return {
    breaker,
    events,
    succeed: () => attempt(async () => 'fine'),
    fail: () => attempt(() => Promise.reject(new Error('down'))),
    attempt,
    wait: (ms: number) => void (now += ms),
    sent: () => sent,
  }
}

async function opened() {
  const held = heldBreaker()
  for (let failure = 0; failure < 3; failure += 1) await held.fail()
  return held
}

describe('a server that fails', () => {
  test('is still asked until it has failed backoffAt times in a row', async () => {
    const { fail, succeed, sent } = heldBreaker()
    for (let round = 0; round < 5; round += 1) {
      await fail()
      await fail()
      expect(await succeed()).toBe('fine')
    }
    expect(sent()).toBe(15)
  })

  test('is then left alone for half a second, and callers are told how long', async () => {
    const { succeed, wait, sent } = await opened()
    wait(100)
    const refusal = await succeed()
    expect(refusal).toBeInstanceOf(BreakerOpen)
    expect(refusal).toMatchObject({ retryAfterMs: 400 })
    expect(sent()).toBe(3)
  })

  test('is used as before when the probe after the pause succeeds', async () => {
    const { succeed, fail, wait, events } = await opened()
    wait(500)
    expect(await succeed()).toBe('fine')
    expect(events).toEqual(['open 500', 'closed'])
    await fail()
    await fail()
    expect(await succeed()).toBe('fine')
  })

  test('is left alone twice as long after each failed probe, up to a minute', async () => {
    const { fail, wait, events } = await opened()
    for (const pause of [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]) {
      wait(pause)
      await fail()
    }
    expect(events.slice(0, 3)).toEqual(['open 500', 'open 1000', 'open 2000'])
    expect(events.slice(-3)).toEqual(['open 60000', 'open 60000', 'open 60000'])
  })

  test('starts again at half a second when it fails after having recovered', async () => {
    const { fail, succeed, wait, events } = await opened()
    wait(500)
    await fail()
    wait(1000)
    await succeed()
    for (let failure = 0; failure < 3; failure += 1) await fail()
    expect(events).toEqual(['open 500', 'open 1000', 'closed', 'open 500'])
  })
})

test('one probe only: while it is under way, other callers are refused and told to wait', async () => {
  const { attempt, succeed, wait, sent } = await opened()
  wait(500)
  const answer = Promise.withResolvers<string>()
  const probe = attempt(() => answer.promise)
  expect(await succeed()).toMatchObject({ retryAfterMs: 500 })
  expect(sent()).toBe(4)
  answer.resolve('probed')
  expect(await probe).toBe('probed')
  expect(await succeed()).toBe('fine')
})

test('calls that were under way when the server was given up neither lengthen the pause nor end it', async () => {
  const held = heldBreaker()
  const late = [Promise.withResolvers<string>(), Promise.withResolvers<string>()] as const
  const calls = late.map((answer) => held.attempt(() => answer.promise))
  for (let failure = 0; failure < 3; failure += 1) await held.fail()
  late[0].reject(new Error('down'))
  late[1].resolve('fine')
  expect(await calls[1]).toBe('fine')
  await calls[0]
  expect(held.events).toEqual(['open 500'])
  expect(await held.succeed()).toBeInstanceOf(BreakerOpen)
})

test('the error of the call reaches the caller as it is', async () => {
  const { fail } = heldBreaker()
  expect(await fail()).toMatchObject({ message: 'down' })
})

test('a backoffAt set to 0 ends a pause', async () => {
  const { breaker } = await opened()
  expect(await breaker.run(0, async () => 'fine')).toBe('fine')
})

test('a backoffAt of 0 switches the pauses off', async () => {
  const { breaker, events } = heldBreaker()
  for (let failure = 0; failure < 50; failure += 1) {
    await expect(breaker.run(0, () => Promise.reject(new Error('down')))).rejects.toThrow('down')
  }
  expect(events).toEqual([])
})

describe('what a call says', () => {
  test('a result can be a failure, and a rejection can say nothing', async () => {
    let now = 0
    const breaker = new Breaker({ clock: { now: () => now } })
    const failing = { failureIn: (result: number) => (result >= 500 ? new Error(`answered ${result}`) : undefined) }
    const leaving = { saysNothing: () => true }
    for (let time = 0; time < 5; time += 1) {
      await expect(breaker.run(2, () => Promise.reject(new Error('left')), leaving)).rejects.toThrow('left')
    }
    for (let time = 0; time < 2; time += 1) expect(await breaker.run(2, async () => 503, failing)).toBe(503)
    await expect(breaker.run(2, async () => 200, failing)).rejects.toMatchObject({ cause: { message: 'answered 503' } })
    now += 500
    await expect(breaker.run(2, () => Promise.reject(new Error('left')), leaving)).rejects.toThrow('left')
    expect(await breaker.run(2, async () => 200, failing)).toBe(200)
  })

  test('a server that asks for it is left alone for so long, without having failed', async () => {
    let now = 0
    const breaker = new Breaker({ clock: { now: () => now } })
    breaker.holdFor(1000)
    breaker.holdFor(10)
    now += 999
    await expect(breaker.run(3, async () => 'fine')).rejects.toMatchObject({ retryAfterMs: 1 })
    now += 1
    expect(await breaker.run(3, async () => 'fine')).toBe('fine')
  })
})
