import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { LocalBuckets } from '../../src/coordination/byte-buckets.ts'
import { createSnapshot, type Snapshot, type SnapshotData } from '../../src/config/snapshot.ts'
import type { Call } from '../../src/http/call.ts'
import { json } from '../../src/http/answers.ts'
import type { HttpParts } from '../../src/http/parts.ts'
import type { Route } from '../../src/http/route.ts'
import { RequestLimits } from '../../src/http/request-limits.ts'
import { ServerLimits } from '../../src/http/server-limits.ts'
import { type HttpServer, startHttp } from '../../src/http/server.ts'
import { RemoteKeys } from '../../src/matrix/keys/remote-keys.ts'
import { signRequest } from '../../src/matrix/x-matrix.ts'
import { openMetrics } from '../../src/lib/metrics.ts'
import { send } from '../support/app.ts'
import { keyBody, keyServers, newKey } from '../support/key-servers.ts'
import { recordingLog } from '../support/log.ts'

const KEY = newKey('one')
const PATH = '/_matrix/federation/v1/test/abc'

/** Says who called it, and which homeserver was addressed. */
const route: Route = {
  action: 'test',
  methods: ['GET'],
  paths: ['/_matrix/federation/v1/test/:mediaId'],
  who: 'server',
  handler: async (_parts: HttpParts, { caller, homeserver }: Call) => json({ caller, homeserver: homeserver.name }),
}

const servers = keyServers()
let http: HttpServer
let remoteKeys: RemoteKeys
beforeAll(async () => {
  servers.answers.set('a.example', async () => ({
    status: 200,
    body: keyBody('a.example', { keys: [KEY], validUntil: Date.now() + 3_600_000 }),
  }))
  const { log } = recordingLog()
  const events = { log, metrics: openMetrics({ version: 'test' }) }
  const clock = { now: () => Date.now() }
  remoteKeys = new RemoteKeys({ request: servers.request, notaries: () => [], clock, events })
  const serverLimits = new ServerLimits({ clock, events, byteBuckets: new LocalBuckets({ clock }) })
  const requestLimits = new RequestLimits({ clock, events })
  const parts = { config: both, events, log, remoteKeys, serverLimits, requestLimits }
  http = await startHttp(parts as unknown as HttpParts, { bindAddress: '127.0.0.1', port: 0, routes: [route] })
})
afterAll(async () => {
  await http[Symbol.asyncDispose]()
  await remoteKeys[Symbol.asyncDispose]()
})

const both = () => configured('b.example', 'c.example:8448')

/** As much of a configuration as requests need before they reach their handler. */
function configured(...names: string[]): Snapshot {
  const main = {
    repo: { useForwardedHost: true, trustAnyForwardedAddress: false },
    federation: { ignoredHosts: ['ignored.example'], onlyHosts: [] },
    rateLimit: { enabled: false },
  }
  return createSnapshot({ main, homeservers: names.map((name) => ({ name })) } as unknown as SnapshotData)
}

const sign = (destination: string, uri = PATH) =>
  signRequest({ method: 'GET', uri, origin: 'a.example', destination }, KEY)

async function ask(headers: Readonly<Record<string, string | readonly string[]>>, path = PATH) {
  const { status, json: body } = await send(http.port, path, { headers: { host: 'b.example', ...headers } })
  return { status, body }
}

const refused = (message: string) => ({
  status: 401,
  body: { errcode: 'M_UNAUTHORIZED', mr_errcode: 'M_UNAUTHORIZED', error: expect.stringContaining(message) },
})
const known = (homeserver: string) => ({
  status: 200,
  body: { caller: { kind: 'server', origin: 'a.example' }, homeserver },
})

describe('a route for servers', () => {
  test('knows its caller by the signature, also by the second of two headers', async () => {
    expect(await ask({ authorization: sign('b.example') })).toEqual(known('b.example'))
    const unlisted = sign('b.example').replace(KEY.id, 'ed25519:other')
    expect(await ask({ authorization: [unlisted, sign('b.example')] })).toEqual(known('b.example'))
  })

  test('is of the homeserver that the signature is for, whatever the Host', async () => {
    const authorization = sign('c.example:8448')
    expect(await ask({ authorization })).toEqual(known('c.example:8448'))
    expect(await ask({ authorization, host: 'delegated.example' })).toEqual(known('c.example:8448'))
    expect(await ask({ authorization: sign('c.example') })).toEqual(refused('it is for "c.example"'))
  })

  test('takes the address as it was sent, with its escapes and an empty query', async () => {
    const path = `${PATH}%2F%C3%A4?x=%20+&&y=?`
    expect(await ask({ authorization: sign('b.example', path) }, path)).toEqual(known('b.example'))
    expect(await ask({ authorization: sign('b.example') }, `${PATH}?`)).toEqual(known('b.example'))
    expect(await ask({ authorization: sign('b.example') }, `${PATH}?x`)).toEqual(refused('was the address changed'))
  })

  test('refuses users, strangers and nonsense in words that help', async () => {
    expect(await ask({})).toEqual(refused('no auth provided (required)'))
    expect(await ask({ authorization: 'Bearer syt_token' })).toEqual(refused('no auth provided (required)'))
    expect(await ask({ authorization: 'X-Matrix origin="a.example"' })).toEqual(refused('has no key'))
    expect(await ask({ authorization: sign('d.example') })).toEqual(refused('no auth provided for this destination'))
  })

  test('tells a server that its keys cannot be fetched, and when to try again', async () => {
    const authorization = sign('b.example').replace('a.example', 'silent.example')
    const { status, body } = await ask({ authorization })
    expect({ status, body: { ...body, retry_after_ms: 0 } }).toEqual({
      status: 401,
      body: {
        errcode: 'M_UNAUTHORIZED',
        mr_errcode: 'M_UNAUTHORIZED',
        error:
          'invalid auth provided (required): the signing keys of silent.example cannot be fetched: its server does not answer',
        retry_after_ms: 0,
      },
    })
    expect(servers.asked.filter((line) => line.includes('silent'))).toHaveLength(1)
  })

  test('refuses a server that is ignored before it is asked for its keys', async () => {
    for (const origin of ['ignored.example', 'Ignored.Example:8448']) {
      const authorization = sign('b.example').replace('a.example', origin)
      expect(await ask({ authorization })).toEqual({
        status: 403,
        body: { errcode: 'M_FORBIDDEN', mr_errcode: 'M_FORBIDDEN', error: `${origin} gets no media here` },
      })
    }
    expect(servers.asked.filter((line) => /ignored/i.test(line))).toEqual([])
  })

  test('asks only so many servers for keys because of one address, and still knows those that it knows', async () => {
    const flood = { 'x-forwarded-for': '2001:db8::5' }
    const made = (number: number) => sign('b.example').replace('a.example', `made-up-${number}.example`)
    const all = await Promise.all(
      Array.from({ length: 320 }, (_, number) => ask({ authorization: made(number), ...flood })),
    )
    const limited = all.filter(({ status }) => status === 429)
    expect(limited[0]?.body).toMatchObject({ errcode: 'M_LIMIT_EXCEEDED', retry_after_ms: expect.any(Number) })
    // 200 at once, and five more a second for as long as this takes.
    const asked = servers.asked.filter((line) => line.includes('made-up')).length
    expect(asked).toBeGreaterThanOrEqual(200)
    expect(asked + limited.length).toBe(320)
    const sameCustomer = { 'x-forwarded-for': '2001:db8::ffff' }
    expect((await ask({ authorization: sign('b.example'), ...sameCustomer })).status).toBe(200)
    const another = { 'x-forwarded-for': '192.0.2.9' }
    expect((await ask({ authorization: made(1000), ...another })).status).toBe(401)
  })
})
