import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { cases, here, SERVER, srv, WEB, web } from '../support/discovery-cases.ts'
import { describeWith } from '../support/services.ts'
import { delegating, type Handler, type SmallInternet, startSmallInternet } from '../support/small-internet.ts'
import type { Step } from '../../src/lib/steps.ts'
import { recordingLog } from '../support/log.ts'
import { Discovery } from '../../src/matrix/discovery.ts'
import { Origins } from '../../src/matrix/origins.ts'

const said =
  (status: number, body: string, headers: Record<string, string> = {}): Handler =>
  (_, response) =>
    void response.writeHead(status, headers).end(body)

/** Well-known answers that are none: step 4 comes next. */
const useless: readonly (readonly [title: string, handler: Handler])[] = [
  ['404', said(404, JSON.stringify({ 'm.server': 'd.test' }))],
  ['500', said(500, '')],
  ['no JSON', said(200, '<html>')],
  ['an array', said(200, '["m.server"]')],
  ['no m.server', said(200, '{"m.homeserver":{"base_url":"https://d.test"}}')],
  ['an m.server that is no text', said(200, '{"m.server":8448}')],
  ['an address with a scheme', said(200, '{"m.server":"https://d.test"}')],
  ['an address with a path', said(200, '{"m.server":"d.test/path"}')],
  ['a port that is none', said(200, '{"m.server":"d.test:99999"}')],
  ['more than 50 KiB', said(200, JSON.stringify({ 'm.server': 'd.test', filler: 'x'.repeat(60_000) }))],
  ['a redirect to itself', said(302, '', { location: '/.well-known/matrix/server' })],
  ['a redirect to plain HTTP', said(302, '', { location: 'http://plain.test/' })],
]

let internet: SmallInternet

async function ask(server: string, trace?: (step: Step) => void) {
  const { clock, door, lookup } = internet
  const discovery = new Discovery({ clock, door, lookup, random: () => 0.5, pause: () => pause(0) })
  const origins = new Origins({ log: recordingLog().log, clock, door, discovery, backoffAt: () => 20 })
  const request = { method: 'GET', path: '/_matrix/x?a=%2F', idleMs: 20_000 } as const
  const response = trace
    ? (await origins.probe(server, request, trace)).response
    : await origins.request(server, request)
  await response.body.resume().toArray()
  return { status: response.status, last: internet.requests.at(-1) }
}

describeWith('openssl', 'Another server is found', () => {
  beforeAll(async () => {
    internet = await startSmallInternet()
  })
  afterAll(() => internet[Symbol.asyncDispose]())

  test.each(cases)('$title', async ({ server, dns = {}, wellKnown, at, port, cert, host }) => {
    for (const [name, entry] of Object.entries(dns)) internet.dns.set(name, entry)
    if (wellKnown) await internet.add(WEB, 443, { certificate: [server], handler: wellKnown })
    else internet.remove(WEB, 443)
    await internet.add(at, port, { certificate: [cert] })
    const { status, last } = await ask(server)
    internet.remove(at, port)
    expect(status).toBe(200)
    const serverName = cert.includes(':') || /^[\d.]+$/.test(cert) ? undefined : cert
    expect(last).toMatchObject({ at: `${at}:${port}`, host, path: '/_matrix/x?a=%2F' })
    expect(last?.serverName).toBe(serverName)
  })

  describe('by its own name where the well-known address', () => {
    test.each(useless)('has %s', async (_, handler) => {
      internet.dns.set('useless.test', { A: [WEB] })
      internet.dns.set('plain.test', { A: [WEB] })
      await internet.add(WEB, 443, { certificate: ['useless.test'], handler })
      await internet.add(WEB, 80, { certificate: [], handler: delegating('d.test') })
      await internet.add(WEB, 8448, { certificate: ['useless.test'] })
      expect((await ask('useless.test')).last).toMatchObject({ at: `${WEB}:8448`, host: 'useless.test' })
      expect(internet.dialled).not.toContain(`${WEB}:80`)
    })

    test('has a certificate that cannot be trusted', async () => {
      internet.dns.set('untrusted.test', { A: [WEB] })
      await internet.add(WEB, 443, { certificate: ['untrusted.test'], handler: delegating('d.test'), strange: true })
      await internet.add(WEB, 8448, { certificate: ['untrusted.test'] })
      expect((await ask('untrusted.test')).last).toMatchObject({ at: `${WEB}:8448`, host: 'untrusted.test' })
    })
  })

  test('through a redirect of the well-known address to another host', async () => {
    internet.dns.set('moved.test', { A: [WEB] })
    internet.dns.set('other.test', { A: ['203.0.113.81'] })
    internet.dns.set('d.test', here)
    const handler = said(301, '', { location: 'https://other.test/elsewhere' })
    await internet.add(WEB, 443, { certificate: ['moved.test'], handler })
    await internet.add('203.0.113.81', 443, {
      certificate: ['other.test'],
      handler: said(200, '{"m.server":"d.test:999"}'),
    })
    await internet.add(SERVER, 999, { certificate: ['d.test'] })
    expect((await ask('moved.test')).last).toMatchObject({ at: `${SERVER}:999`, host: 'd.test:999' })
  })

  test('at the next target of its SRV records when the first does not answer, by priority', async () => {
    const records = [
      { target: 'third.test', port: 3, priority: 30 },
      { target: 'first.test', port: 1, priority: 10 },
      { target: 'second.test', port: 2, priority: 20 },
    ]
    internet.dns.set('_matrix-fed._tcp.order.test', { SRV: records })
    for (const name of ['first', 'second', 'third']) internet.dns.set(`${name}.test`, here)
    await internet.add(SERVER, 3, { certificate: ['order.test'] })
    const before = internet.dialled.length
    expect((await ask('order.test')).last).toMatchObject({ at: `${SERVER}:3`, host: 'order.test' })
    expect(internet.dialled.slice(before).filter((place) => place.startsWith(SERVER))).toEqual([
      `${SERVER}:1`,
      `${SERVER}:2`,
      `${SERVER}:3`,
    ])
  })

  test('not at the old SRV record, nor at port 8448, when the targets of the new one do not answer', async () => {
    internet.dns.set('_matrix-fed._tcp.dead.test', srv('t.test', 61))
    internet.dns.set('_matrix._tcp.dead.test', srv('t.test', 62))
    internet.dns.set('dead.test', here)
    internet.dns.set('t.test', here)
    await internet.add(SERVER, 62, { certificate: ['dead.test'] })
    await internet.add(SERVER, 8448, { certificate: ['dead.test'] })
    await expect(ask('dead.test')).rejects.toThrow('ECONNREFUSED')
    expect(internet.dialled).not.toContain(`${SERVER}:62`)
  })

  test('not at all when its SRV record says that there is no service', async () => {
    internet.dns.set('_matrix-fed._tcp.none.test', srv('.', 0))
    internet.dns.set('none.test', here)
    await internet.add(SERVER, 8448, { certificate: ['none.test'] })
    await expect(ask('none.test')).rejects.toThrow('says that there is no such service')
  })

  test.each(['SERVFAIL', 'silence'] as const)(
    'not at port 8448 while the DNS cannot say whether there are SRV records (%s)',
    async (entry) => {
      internet.dns.set('_matrix-fed._tcp.unclear.test', entry)
      internet.dns.set('unclear.test', here)
      await internet.add(SERVER, 8448, { certificate: ['unclear.test'] })
      await expect(ask('unclear.test')).rejects.toThrow('the DNS does not answer for SRV _matrix-fed._tcp.unclear.test')
    },
  )

  test.each([
    ['for another name', { certificate: ['another.test'] }],
    ['for the SRV target only', { certificate: ['t.test'] }],
    ['by a stranger', { certificate: ['wrong.test'], strange: true }],
  ])('but not believed with a certificate %s', async (_, options) => {
    internet.dns.set('_matrix-fed._tcp.wrong.test', srv('t.test', 71))
    internet.dns.set('t.test', here)
    await internet.add(SERVER, 71, options)
    const before = internet.requests.length
    await expect(ask('wrong.test')).rejects.toThrow(/certificate/i)
    expect(internet.requests.slice(before).filter(({ at }) => at === `${SERVER}:71`)).toEqual([])
  })

  test('and each step is told, with its time', async () => {
    internet.dns.set('told.test', web)
    internet.dns.set('d.test', here)
    await internet.add(WEB, 443, { certificate: ['told.test'], handler: delegating('d.test:999') })
    await internet.add(SERVER, 999, { certificate: ['d.test'] })
    const steps: Step[] = []
    await ask('told.test', (step) => steps.push(step))
    expect(steps.map(({ step }) => step)).toEqual([
      'addresses of told.test',
      'connect to told.test port 443',
      'TLS with told.test',
      'well-known of told.test',
      'addresses of d.test',
      'connect to d.test port 999',
      'TLS with d.test',
      'GET /_matrix/x?a=%2F, connecting included',
    ])
    expect(steps.every(({ durationMs }) => durationMs >= 0)).toBe(true)
  })
})

const nobody = () => Promise.reject(new Error('asked'))

describe('What is no server name', () => {
  test.each(['', 'a b', 'example.org:0', 'example.org:70000', '[::1', 'exa_mple', 'a/b', '..', 'user@example.org'])(
    '%j is not looked up',
    async (name) => {
      const parts = { clock: { now: () => 0 }, random: () => 0, pause: async () => {} }
      const discovery = new Discovery({ ...parts, door: { get: nobody }, lookup: { srv: nobody } })
      await expect(discovery.find(name)).rejects.toThrow('is no server name')
    },
  )
})
