import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { recordingLog } from '../support/log.ts'
import { describeWith } from '../support/services.ts'
import { type Handler, okay, type SmallInternet, startSmallInternet } from '../support/small-internet.ts'
import { BreakerOpen } from '../../src/matrix/breaker.ts'
import { Discovery } from '../../src/matrix/discovery.ts'
import { type OriginRequest, Origins } from '../../src/matrix/origins.ts'

const SERVER = '203.0.113.10'
const NAME = 'example.test:8448'

let internet: SmallInternet
let origins: Origins
let lines: ReturnType<typeof recordingLog>['lines']
let handler: Handler = okay
let connections: () => number

async function ask(changes: Partial<OriginRequest> = {}, name = NAME) {
  const response = await origins.request(name, { method: 'GET', path: '/x', idleMs: 20_000, ...changes })
  return { status: response.status, text: Buffer.concat(await response.body.toArray()).toString() }
}

const saying =
  (status: number, body = '', headers: Record<string, string> = {}): Handler =>
  (_, response) =>
    void response.writeHead(status, headers).end(body)
const breaking: Handler = (_, response) => {
  response.writeHead(200, { 'content-length': 1000 })
  response.write('the beginning', () => response.destroy())
}
const asked = () => internet.requests.length

describeWith('openssl', 'Another server', () => {
  beforeAll(async () => {
    internet = await startSmallInternet()
    internet.dns.set('example.test', { A: [SERVER] })
  })
  beforeEach(async () => {
    const recorded = recordingLog()
    lines = recorded.lines
    handler = okay
    const machine = await internet.add(SERVER, 8448, {
      certificate: ['example.test', 'srv.test'],
      handler: (request, response) => handler(request, response),
    })
    connections = machine.connections
    const { clock, lookup, door } = internet
    door.renew()
    const discovery = new Discovery({ clock, door, lookup, random: () => 0.5, pause: async () => {} })
    origins = new Origins({ log: recorded.log, clock, door, discovery, backoffAt: () => 3 })
  })
  afterAll(() => internet[Symbol.asyncDispose]())

  test('is asked over the same connection again', async () => {
    for (let time = 0; time < 10; time++) expect(await ask()).toEqual({ status: 200, text: '{}' })
    // A second one is opened when a request comes before the first has come to rest.
    expect(connections()).toBeLessThanOrEqual(2)
  })

  test('is asked again when it has closed a connection that was kept', async () => {
    await ask()
    handler = (request, response) => {
      handler = okay
      response.destroy()
      request.destroy()
    }
    expect((await ask()).status).toBe(200)
    expect(connections()).toBe(2)
  })

  test('gets what is sent, with the path as it is', async () => {
    let body = ''
    handler = (request, response) => {
      request.on('data', (chunk: Buffer) => (body += chunk.toString()))
      request.on('end', () => response.end())
    }
    await ask({
      method: 'POST',
      path: '/a%2Fb?c=%20',
      body: '{"a":1}',
      headers: { authorization: 'X-Matrix …'.replace('…', 'a') },
    })
    expect(body).toBe('{"a":1}')
    expect(internet.requests.at(-1)).toMatchObject({
      path: '/a%2Fb?c=%20',
      headers: { 'user-agent': 'Cellarium', authorization: 'X-Matrix a' },
    })
  })

  test.each([500, 502, 503])('that answers %i three times in a row is left alone for half a second', async (status) => {
    handler = saying(status, 'broken')
    for (let time = 0; time < 3; time++) expect(await ask()).toEqual({ status, text: 'broken' })
    const before = asked()
    handler = okay
    const refusal = await ask().catch((error: unknown) => error)
    expect(refusal).toBeInstanceOf(BreakerOpen)
    expect(refusal).toMatchObject({ retryAfterMs: 500, cause: { message: `answered ${status} broken` } })
    expect(asked()).toBe(before)
    internet.clock.wait(500)
    expect((await ask()).status).toBe(200)
    expect(lines.map(({ msg }) => msg)).toEqual([
      'the remote server keeps failing and is left alone',
      'the remote server answers again',
    ])
  })

  test('that was left alone is asked again at once when it has answered a test', async () => {
    handler = saying(500)
    for (let time = 0; time < 3; time++) await ask()
    const request = { method: 'GET', path: '/x', idleMs: 20_000 } as const
    await origins.probe(NAME, request, () => {})
    await expect(ask(), 'it has failed the test').rejects.toThrow(BreakerOpen)
    handler = okay
    const { response } = await origins.probe(NAME, request, () => {})
    await response.body.toArray()
    expect((await ask()).status).toBe(200)
  })

  test('that cannot be connected to is left alone as well, and is asked by one request at first', async () => {
    internet.remove(SERVER, 8448)
    for (let time = 0; time < 3; time++) await expect(ask()).rejects.toThrow('ECONNREFUSED')
    await expect(ask()).rejects.toThrow(BreakerOpen)
    internet.clock.wait(500)
    const release = Promise.withResolvers<void>()
    await internet.add(SERVER, 8448, {
      certificate: ['example.test'],
      handler: (_, response) => void release.promise.then(() => response.end('back')),
    })
    const probe = ask()
    await expect(ask()).rejects.toThrow(BreakerOpen)
    release.resolve()
    expect((await probe).text).toBe('back')
    expect((await ask()).text).toBe('back')
  })

  test.each([400, 401, 403, 404, 405, 429])('that answers %i has not failed', async (status) => {
    handler = saying(status)
    for (let time = 0; time < 6; time++) expect((await ask()).status).toBe(status)
  })

  test('has not failed when a file is not there yet', async () => {
    handler = saying(504, '{"errcode":"M_NOT_YET_UPLOADED","error":"later"}')
    for (let time = 0; time < 6; time++) {
      expect(await ask()).toEqual({ status: 504, text: '{"errcode":"M_NOT_YET_UPLOADED","error":"later"}' })
    }
  })

  test('has not failed when whoever asked has left, also at the first request after a pause', async () => {
    handler = () => {}
    for (let time = 0; time < 6; time++) {
      await expect(ask({ signal: AbortSignal.timeout(20) })).rejects.toThrow(/abort|timeout/i)
    }
    handler = saying(500)
    for (let time = 0; time < 3; time++) await ask()
    internet.clock.wait(500)
    handler = () => {}
    await expect(ask({ signal: AbortSignal.timeout(20) })).rejects.toThrow(/abort|timeout/i)
    handler = okay
    expect((await ask()).status).toBe(200)
  })

  test.each([
    [429, '30', 30_000],
    [503, 'date', 60_000],
    [429, '99999999', 3_600_000],
  ])('that answers %i and asks to be left alone (%s) is left alone', async (status, header, ms) => {
    const date = new Date(Math.ceil(internet.clock.now() / 1000) * 1000 + 60_000)
    handler = saying(status, '', { 'retry-after': header === 'date' ? date.toUTCString() : header })
    await ask()
    const before = asked()
    handler = okay
    internet.clock.wait(ms - 2000)
    await expect(ask()).rejects.toThrow(BreakerOpen)
    expect(asked()).toBe(before)
    internet.clock.wait(3000)
    expect((await ask()).status).toBe(200)
  })

  test('that sends nothing for too long has failed', async () => {
    handler = () => {}
    for (let time = 0; time < 3; time++) await expect(ask({ idleMs: 100 })).rejects.toThrow(/timeout/i)
    await expect(ask()).rejects.toThrow(BreakerOpen)
  })

  test('whose files all break off is left alone for longer and longer, until one comes whole', async () => {
    const breaks = () => expect(ask()).rejects.toThrow(/terminated|other side closed|aborted/)
    handler = breaking
    for (let time = 0; time < 2; time++) await breaks()
    handler = okay
    expect(await ask(), 'two are not three in a row').toMatchObject({ status: 200 })
    handler = breaking
    for (let time = 0; time < 3; time++) await breaks()
    for (const pauseMs of [500, 1000, 2000]) {
      await expect(ask()).rejects.toMatchObject({ name: 'BreakerOpen', retryAfterMs: pauseMs })
      internet.clock.wait(pauseMs)
      await breaks()
    }
    internet.clock.wait(4000)
    handler = okay
    for (let time = 0; time < 3; time++) expect((await ask()).status).toBe(200)
  })

  test('is not to blame for a file that nobody reads to its end', async () => {
    handler = (_, response) => void response.writeHead(200, { 'content-length': 1_000_000 }).write('the beginning')
    for (let time = 0; time < 6; time++) {
      const leaving = new AbortController()
      const left = origins.request(NAME, { method: 'GET', path: '/x', idleMs: 20_000, signal: leaving.signal })
      const { body } = await left
      body.on('error', () => {})
      if (time % 2 === 0) leaving.abort()
      else body.destroy()
      await new Promise((resolve) => body.once('close', resolve))
    }
    handler = okay
    expect((await ask()).status).toBe(200)
  })

  test('is not harmed by the failures of others', async () => {
    for (let time = 0; time < 4; time++) await expect(ask({}, 'other.test:8448')).rejects.toThrow()
    await expect(ask({}, 'other.test:8448')).rejects.toThrow(BreakerOpen)
    expect((await ask()).status).toBe(200)
  })

  test('is asked first where it answered last, of several places', async () => {
    const records = ['gone', 'there'].map((target, priority) => ({ target: `${target}.test`, port: 8448, priority }))
    internet.dns.set('_matrix-fed._tcp.srv.test', { SRV: records })
    internet.dns.set('gone.test', { A: ['203.0.113.99'] })
    internet.dns.set('there.test', { A: [SERVER] })
    handler = (_, response) => void response.setHeader('connection', 'close').end('{}')
    await ask({}, 'srv.test')
    const before = internet.dialled.length
    expect(await ask({}, 'srv.test')).toEqual({ status: 200, text: '{}' })
    expect(internet.dialled.slice(before)).toEqual([`${SERVER}:8448`])
  })

  test('with SRV records keeps them while the DNS does not answer', async () => {
    internet.dns.set('_matrix-fed._tcp.srv.test', { SRV: [{ target: 'there.test', port: 8448 }] })
    internet.dns.set('there.test', { A: [SERVER] })
    await ask({}, 'srv.test')
    internet.dns.set('_matrix-fed._tcp.srv.test', 'SERVFAIL')
    internet.clock.wait(6 * 60_000)
    expect((await ask({}, 'srv.test')).status).toBe(200)
    internet.clock.wait(25 * 3_600_000)
    await expect(ask({}, 'srv.test')).rejects.toThrow('the DNS does not answer')
  })
})
