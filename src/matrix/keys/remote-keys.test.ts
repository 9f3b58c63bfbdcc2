import { once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { keyBody, keyServers, newKey, type Published, withSignature } from '../../../test/support/key-servers.ts'
import { recordingLog } from '../../../test/support/log.ts'
import { CallerGone } from '../../lib/errors.ts'
import { openMetrics } from '../../lib/metrics.ts'
import type { JsonObject } from '../json.ts'
import { RemoteKeys } from './remote-keys.ts'

const START = 1_700_000_000_000
const HOUR = 3_600_000
const [ONE, TWO, NOTARY] = [newKey('one'), newKey('two'), newKey('notary')]
const DIRECT = 'GET a.example /_matrix/key/v2/server'

/** Remote keys on a clock that stands still, with servers that tests make. */
function held(options: { readonly notaries?: readonly string[] } = {}) {
  const servers = keyServers()
  let now = START
  const { log, lines } = recordingLog()
  const metrics = openMetrics({ version: 'test' })
  const parts = { request: servers.request, notaries: () => options.notaries ?? [], clock: { now: () => now } }
  const keys = new RemoteKeys({ ...parts, events: { log, metrics } })
  return {
    ...servers,
    lines,
    metrics,
    keys,
    find: async (...ids: string[]) => [...(await keys.find('a.example', ids)).current.keys()],
    wait: (ms: number) => void (now += ms),
    publish: (published: Partial<Published> = {}, server = 'a.example') => {
      const body = () => keyBody(server, { keys: [ONE], validUntil: now + HOUR, ...published })
      servers.answers.set(server, async () => ({ status: 200, body: body() }))
    },
    [Symbol.asyncDispose]: () => keys[Symbol.asyncDispose](),
  }
}

const unavailable = (why: string, retryAfterMs: number) =>
  expect.objectContaining({
    reason: 'server_keys_unavailable',
    message: `invalid auth provided (required): the signing keys of a.example cannot be fetched: ${why}`,
    options: expect.objectContaining({ retryAfterMs }),
  })

describe('the keys of another server', () => {
  test('are asked for once, and again after half of their life', async () => {
    await using remote = held()
    remote.publish()
    expect(await remote.find(ONE.id)).toEqual([ONE.id])
    remote.wait(HOUR / 2 - 1)
    await remote.find(ONE.id)
    expect(remote.asked).toEqual([DIRECT])
    remote.wait(1)
    await remote.find(ONE.id)
    expect(remote.asked).toEqual([DIRECT, DIRECT])
  })

  test('are asked for once by all who want them at the same time, and for each server apart', async () => {
    await using remote = held()
    const gate = Promise.withResolvers<void>()
    remote.answers.set('a.example', async () => {
      await gate.promise
      return { status: 200, body: keyBody('a.example', { keys: [ONE], validUntil: START + HOUR }) }
    })
    remote.publish({}, 'b.example')
    const all = Array.from({ length: 20 }, () => remote.find(ONE.id))
    expect((await remote.keys.find('b.example', [ONE.id])).current.size).toBe(1)
    gate.resolve()
    expect(await Promise.all(all)).toEqual(all.map(() => [ONE.id]))
    expect(remote.asked).toEqual([DIRECT, 'GET b.example /_matrix/key/v2/server'])
  })

  test('go on being fetched when whoever asked first hangs up', async () => {
    await using remote = held()
    const gate = Promise.withResolvers<void>()
    remote.answers.set('a.example', async () => {
      await gate.promise
      return { status: 200, body: keyBody('a.example', { keys: [ONE], validUntil: START + HOUR }) }
    })
    const controller = new AbortController()
    const leaving = remote.keys.find('a.example', [ONE.id], controller)
    const staying = remote.find(ONE.id)
    controller.abort()
    await expect(leaving).rejects.toThrow(CallerGone)
    gate.resolve()
    expect(await staying).toEqual([ONE.id])
    expect(remote.asked).toEqual([DIRECT])
  })

  test('are not asked for where that is not allowed, unless those that are known will do', async () => {
    await using remote = held()
    remote.publish()
    let refusing = true
    const beforeAsking = () => {
      if (refusing) throw new Error('not now')
    }
    const find = async (id: string) => (await remote.keys.find('a.example', [id], { beforeAsking })).current.size
    await expect(find(ONE.id)).rejects.toThrow('not now')
    refusing = false
    expect(await find(ONE.id)).toBe(1)
    refusing = true
    remote.wait(HOUR / 2)
    expect(await find(ONE.id)).toBe(1)
    await expect(find(TWO.id)).rejects.toThrow('not now')
    expect(remote.asked).toEqual([DIRECT])
  })

  test('are used until their end where the server does not answer any more, and no longer', async () => {
    await using remote = held()
    remote.publish()
    await remote.find(ONE.id)
    remote.answers.delete('a.example')
    remote.wait(HOUR - 1)
    expect(await remote.find(ONE.id)).toEqual([ONE.id])
    remote.wait(1)
    await expect(remote.find(ONE.id)).rejects.toEqual(unavailable('its server does not answer', 4999))
  })

  test('are asked for again because of an unknown key, once a minute at most', async () => {
    await using remote = held()
    remote.publish()
    expect(await remote.find(TWO.id)).toEqual([ONE.id])
    remote.publish({ keys: [ONE, TWO] })
    for (let time = 0; time < 5; time++) expect(await remote.find(`ed25519:made-up${time}`)).toEqual([ONE.id])
    expect(remote.asked).toEqual([DIRECT])
    remote.wait(60_000)
    expect(await remote.find(TWO.id)).toEqual([ONE.id, TWO.id])
    expect(remote.asked).toEqual([DIRECT, DIRECT])
  })

  test('are enough if one of several keys is known', async () => {
    await using remote = held()
    remote.publish()
    await remote.find(ONE.id)
    remote.wait(60_000)
    expect(await remote.find('ed25519:new', ONE.id)).toEqual([ONE.id])
    expect(remote.asked).toEqual([DIRECT])
  })

  test('are not asked for with each request of a server whose keys last for a moment', async () => {
    await using remote = held()
    remote.publish({ validUntil: START + 2 })
    await remote.find(ONE.id)
    remote.wait(100)
    await expect(remote.find(ONE.id)).rejects.toEqual(unavailable('they were valid for a moment only', 4900))
    expect(remote.asked).toEqual([DIRECT])
  })
})

describe('a server that does not give its keys', () => {
  test('is asked again after pauses that grow up to five minutes', async () => {
    await using remote = held()
    const pauses = [5, 10, 20, 40, 80, 160, 300, 300].map((seconds) => seconds * 1000)
    for (const [index, pause] of pauses.entries()) {
      await expect(remote.find(ONE.id)).rejects.toEqual(unavailable('its server does not answer', pause))
      remote.wait(pause - 1)
      await expect(remote.find(ONE.id)).rejects.toEqual(unavailable('its server does not answer', 1))
      expect(remote.asked).toHaveLength(index + 1)
      remote.wait(1)
    }
    remote.publish()
    expect(await remote.find(ONE.id)).toEqual([ONE.id])
    remote.answers.delete('a.example')
    remote.wait(HOUR)
    await expect(remote.find(ONE.id)).rejects.toEqual(unavailable('its server does not answer', 5000))
  })

  test('is told what is wrong with its answer, but nothing of the network here', async () => {
    await using remote = held()
    remote.answers.set('a.example', async () => ({ status: 503, body: {} }))
    await expect(remote.find(ONE.id)).rejects.toEqual(unavailable('it answered 503', 5000))
    remote.wait(5000)
    remote.publish({ signers: [] })
    await expect(remote.find(ONE.id)).rejects.toEqual(
      unavailable('the answer is not signed by any of the keys in it', 10_000),
    )
    remote.wait(10_000)
    remote.answers.delete('a.example')
    await expect(remote.find(ONE.id)).rejects.not.toThrow('10.0.0.5')
    expect(remote.lines.at(-1)).toMatchObject({
      origin: 'a.example',
      err: { message: expect.stringContaining('10.0.0.5') },
    })
    expect(remote.metrics.remoteKeys.of('failed').value).toBe(3)
  })

  test('keeps nobody from the keys of others, however many there are; beyond 500 at once they have to wait', async () => {
    await using remote = held()
    const gate = Promise.withResolvers<void>()
    const slow = Array.from({ length: 500 }, (_, at) => `slow${at}.example`)
    for (const name of slow) remote.answers.set(name, () => gate.promise.then(() => ({ status: 500, body: {} })))
    const waiting = slow.map((name) => remote.keys.find(name, [ONE.id]))
    const ended = Promise.allSettled(waiting)
    remote.publish()
    await expect(remote.find(ONE.id)).rejects.toMatchObject({ reason: 'limited', options: { retryAfterMs: 5000 } })
    gate.resolve()
    expect((await ended).every(({ status }) => status === 'rejected')).toBe(true)
    expect(await remote.find(ONE.id)).toEqual([ONE.id])
  })

  test('holds nothing up when everything ends', async () => {
    const remote = held()
    remote.answers.set('a.example', async ({ signal }) => {
      await once(signal, 'abort')
      throw signal.reason
    })
    const waiting = expect(remote.find(ONE.id)).rejects.toThrow('its server does not answer')
    await turn()
    await remote[Symbol.asyncDispose]()
    await waiting
  })
})

/** A server's keys, signed by a notary too. */
const notarisedBy = (server: string, notary: string) =>
  withSignature(keyBody(server, { keys: [ONE], validUntil: START + HOUR }), notary, NOTARY)

describe('a notary', () => {
  const QUERY = 'POST notary.example /_matrix/key/v2/query'
  const notarised = (more: Partial<Published> = {}) =>
    withSignature(keyBody('a.example', { keys: [ONE], validUntil: START + HOUR, ...more }), 'notary.example', NOTARY)

  /** A notary that knows its own keys, and of a.example what it is given. */
  function withNotary(entries: readonly JsonObject[], knows: 'POST' | 'GET' = 'POST') {
    const remote = held({ notaries: ['notary.example'] })
    const own = keyBody('notary.example', { keys: [NOTARY], validUntil: START + HOUR })
    const bodies: unknown[] = []
    remote.answers.set('notary.example', async ({ method, path, body }) => {
      if (path.endsWith('/server')) return { status: 200, body: own }
      if (body) bodies.push(JSON.parse(body.toString()))
      return method === knows ? { status: 200, body: { server_keys: entries } } : { status: 405, body: {} }
    })
    return { ...remote, bodies }
  }

  test('is asked for the keys of a server that does not answer itself', async () => {
    await using remote = withNotary([notarised()])
    expect(await remote.find(ONE.id)).toEqual([ONE.id])
    expect(remote.asked).toEqual([DIRECT, QUERY, 'GET notary.example /_matrix/key/v2/server'])
    expect(remote.bodies).toEqual([{ server_keys: { 'a.example': { [ONE.id]: { minimum_valid_until_ts: START } } } }])
  })

  test('is asked by GET if it knows no POST', async () => {
    await using remote = withNotary([notarised()], 'GET')
    expect(await remote.find(ONE.id)).toEqual([ONE.id])
    expect(remote.asked[2]).toBe(`GET notary.example /_matrix/key/v2/query/a.example?minimum_valid_until_ts=${START}`)
  })

  test('is not asked where the server answers', async () => {
    await using remote = withNotary([])
    remote.publish()
    expect(await remote.find(ONE.id)).toEqual([ONE.id])
    expect(remote.asked).toEqual([DIRECT])
  })

  test.each([
    ['does not sign what it says', [keyBody('a.example', { keys: [ONE], validUntil: START + HOUR })]],
    ['says what the server has not signed', [notarised({ signers: [] })]],
    ['knows only what has expired', [notarised({ validUntil: START })]],
    ['knows nothing', []],
  ])('that %s is not believed; the error is about the server itself', async (_, entries) => {
    await using remote = withNotary(entries)
    await expect(remote.find(ONE.id)).rejects.toEqual(unavailable('its server does not answer', 5000))
  })

  test('that is asked for its own keys does not wait for another that is asked for its', async () => {
    await using remote = held({ notaries: ['a.example', 'b.example'] })
    for (const [notary, other] of [
      ['a.example', 'b.example'],
      ['b.example', 'a.example'],
    ] as const) {
      remote.answers.set(notary, async ({ path }) =>
        path.endsWith('/server')
          ? { status: 500, body: {} }
          : { status: 200, body: { server_keys: [notarisedBy(other, notary)] } },
      )
    }
    const both = ['a.example', 'b.example'].map((name) => remote.keys.find(name, [ONE.id]))
    await expect(Promise.allSettled(both)).resolves.toEqual([
      expect.objectContaining({ status: 'rejected' }),
      expect.objectContaining({ status: 'rejected' }),
    ])
  })
})
