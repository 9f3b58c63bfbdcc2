import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Entry } from '../../test/support/dns-server.ts'
import { describeWith } from '../../test/support/services.ts'
import { delegating, type Handler, type SmallInternet, startSmallInternet } from '../../test/support/small-internet.ts'
import type { Step } from '../lib/steps.ts'
import { recordingLog } from '../../test/support/log.ts'
import { Discovery } from './discovery.ts'
import { Origins } from './origins.ts'

interface Case {
  readonly title: string
  readonly server: string
  readonly dns?: Readonly<Record<string, Entry>>
  /** What answers at the well-known address of the server, at 203.0.113.80. */
  readonly wellKnown?: Handler
  /** Where the server listens, and with which certificate. */
  readonly at: string
  readonly port: number
  readonly cert: string
  readonly host: string
}

const SERVER = '203.0.113.10'
const WEB = '203.0.113.80'
const web = { A: [WEB] }
const here = { A: [SERVER] }
const srv = (target: string, port = 4444) => ({ SRV: [{ target, port }] })

/** The steps of the specification, "Resolving server names". */
const cases: readonly Case[] = [
  { title: '1: an address', server: SERVER, at: SERVER, port: 8448, cert: SERVER, host: SERVER },
  {
    title: '1: an address and port',
    server: `${SERVER}:999`,
    at: SERVER,
    port: 999,
    cert: SERVER,
    host: `${SERVER}:999`,
  },
  {
    title: '1: an IPv6 address',
    server: '[2001:db8::5]',
    at: '2001:db8::5',
    port: 8448,
    cert: '2001:db8::5',
    host: '[2001:db8::5]',
  },
  {
    title: '1: an IPv6 address and port',
    server: '[2001:db8::5]:999',
    at: '2001:db8::5',
    port: 999,
    cert: '2001:db8::5',
    host: '[2001:db8::5]:999',
  },
  {
    title: '2: a name and port',
    server: 's2.test:999',
    dns: { 's2.test': here },
    at: SERVER,
    port: 999,
    cert: 's2.test',
    host: 's2.test:999',
  },
  {
    title: '2: a name and port, by an alias',
    server: 's2c.test:999',
    dns: { 's2c.test': { CNAME: 'real.test' }, 'real.test': here },
    at: SERVER,
    port: 999,
    cert: 's2c.test',
    host: 's2c.test:999',
  },
  {
    title: '2: the port 443',
    server: 's2p.test:443',
    dns: { 's2p.test': here },
    at: SERVER,
    port: 443,
    cert: 's2p.test',
    host: 's2p.test:443',
  },
  {
    title: '3.1: delegated to an address',
    server: 's31.test',
    dns: { 's31.test': web },
    wellKnown: delegating(SERVER),
    at: SERVER,
    port: 8448,
    cert: SERVER,
    host: SERVER,
  },
  {
    title: '3.1: delegated to an address and port',
    server: 's31p.test',
    dns: { 's31p.test': web },
    wellKnown: delegating(`${SERVER}:999`),
    at: SERVER,
    port: 999,
    cert: SERVER,
    host: `${SERVER}:999`,
  },
  {
    title: '3.1: delegated to an IPv6 address',
    server: 's316.test',
    dns: { 's316.test': web },
    wellKnown: delegating('[2001:db8::5]:999'),
    at: '2001:db8::5',
    port: 999,
    cert: '2001:db8::5',
    host: '[2001:db8::5]:999',
  },
  {
    title: '3.2: delegated to a name and port',
    server: 's32.test',
    dns: { 's32.test': web, 'd.test': here },
    wellKnown: delegating('d.test:999'),
    at: SERVER,
    port: 999,
    cert: 'd.test',
    host: 'd.test:999',
  },
  {
    title: '3.3: delegated to a name with SRV',
    server: 's33.test',
    dns: { 's33.test': web, '_matrix-fed._tcp.d33.test': srv('t.test'), 't.test': here },
    wellKnown: delegating('d33.test'),
    at: SERVER,
    port: 4444,
    cert: 'd33.test',
    host: 'd33.test',
  },
  {
    title: '3.4: delegated to a name with the old SRV',
    server: 's34.test',
    dns: { 's34.test': web, '_matrix._tcp.d34.test': srv('t.test'), 't.test': here },
    wellKnown: delegating('d34.test'),
    at: SERVER,
    port: 4444,
    cert: 'd34.test',
    host: 'd34.test',
  },
  {
    title: '3.5: delegated to a name',
    server: 's35.test',
    dns: { 's35.test': web, 'd35.test': here },
    wellKnown: delegating('d35.test'),
    at: SERVER,
    port: 8448,
    cert: 'd35.test',
    host: 'd35.test',
  },
  {
    title: '3.5: delegated to a name in another alphabet',
    server: 's35i.test',
    dns: { 's35i.test': web, 'xn--bcher-kva.test': here },
    wellKnown: delegating('bücher.test'),
    at: SERVER,
    port: 8448,
    cert: 'xn--bcher-kva.test',
    host: 'xn--bcher-kva.test',
  },
  {
    title: '4: SRV',
    server: 's4.test',
    dns: { '_matrix-fed._tcp.s4.test': srv('t.test'), 't.test': here },
    at: SERVER,
    port: 4444,
    cert: 's4.test',
    host: 's4.test',
  },
  {
    title: '4: SRV to an alias',
    server: 's4c.test',
    dns: { '_matrix-fed._tcp.s4c.test': srv('t.test'), 't.test': { CNAME: 'real.test' }, 'real.test': here },
    at: SERVER,
    port: 4444,
    cert: 's4c.test',
    host: 's4c.test',
  },
  {
    title: '4: SRV before the old SRV',
    server: 's4b.test',
    dns: {
      '_matrix-fed._tcp.s4b.test': srv('t.test', 4444),
      '_matrix._tcp.s4b.test': srv('t.test', 5555),
      't.test': here,
    },
    at: SERVER,
    port: 4444,
    cert: 's4b.test',
    host: 's4b.test',
  },
  {
    title: '5: the old SRV',
    server: 's5.test',
    dns: { '_matrix._tcp.s5.test': srv('t.test'), 't.test': here },
    at: SERVER,
    port: 4444,
    cert: 's5.test',
    host: 's5.test',
  },
  {
    title: '6: a name',
    server: 's6.test',
    dns: { 's6.test': here },
    at: SERVER,
    port: 8448,
    cert: 's6.test',
    host: 's6.test',
  },
  {
    title: '6: a name with IPv6 only',
    server: 's66.test',
    dns: { 's66.test': { AAAA: ['2001:db8::5'] } },
    at: '2001:db8::5',
    port: 8448,
    cert: 's66.test',
    host: 's66.test',
  },
  {
    title: '6: a name in another alphabet',
    server: 'münchen.test',
    dns: { 'xn--mnchen-3ya.test': here },
    at: SERVER,
    port: 8448,
    cert: 'xn--mnchen-3ya.test',
    host: 'xn--mnchen-3ya.test',
  },
]

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
      'GET /_matrix/x?a=%2F',
    ])
    expect(steps.every(({ durationMs }) => durationMs >= 0)).toBe(true)
  })
})

describe('What is no server name', () => {
  test.each(['', 'a b', 'example.org:0', 'example.org:70000', '[::1', 'exa_mple', 'a/b', '..', 'user@example.org'])(
    '%j is not looked up',
    async (name) => {
      const parts = { clock: { now: () => 0 }, random: () => 0, pause: async () => {} }
      const nobody = () => Promise.reject(new Error('asked'))
      const discovery = new Discovery({ ...parts, door: { get: nobody }, lookup: { srv: nobody } })
      await expect(discovery.find(name)).rejects.toThrow('is no server name')
    },
  )
})
