import { afterAll, beforeAll, expect, test } from 'vitest'
import { ALICE, BOB, eventually, startApp, type TestApp } from '../support/app.ts'
import { describeWith } from '../support/services.ts'
import { delegating, type SmallInternet, startSmallInternet } from '../support/small-internet.ts'

const PATHS = ['/_matrix/media/unstable', '/_matrix/media/unstable/io.t2bot.media']
const WEB = '203.0.113.80'
const SERVER = '203.0.113.10'

let internet: SmallInternet
let app: TestApp

interface Step {
  readonly step: string
  readonly duration_ms: number
  readonly error?: string
}

async function ask(server: string, token = ALICE.token, prefix = PATHS[0]) {
  const { status, json } = await app.ask(`${prefix}/admin/federation/test/${server}`, { token })
  return { status, json, steps: (json['steps'] ?? []) as readonly Step[] }
}

describeWith('openssl', 'Administrators test the way to another server', () => {
  beforeAll(async () => {
    internet = await startSmallInternet()
    const { dial, lookup, authority } = internet
    const network = { dial, lookup, authorities: [authority.certificate] }
    app = await startApp({ config: { admins: [ALICE.userId], federation: { backoffAt: 2 } }, network })
    internet.dns.set('example.test', { A: [WEB] })
    internet.dns.set('_matrix-fed._tcp.d.test', { SRV: [{ target: 't.test', port: 4444 }] })
    internet.dns.set('t.test', { A: [SERVER] })
    await internet.add(WEB, 443, { certificate: ['example.test'], handler: delegating('d.test') })
    await internet.add(SERVER, 4444, {
      certificate: ['d.test'],
      handler: (_, response) => void response.end('{"server":{"name":"Synapse","version":"1.2"}}'),
    })
  })
  afterAll(async () => {
    await app[Symbol.asyncDispose]()
    await internet[Symbol.asyncDispose]()
  })

  test.each(PATHS)('and see what MMR shows, and each step (%s)', async (prefix) => {
    const { status, json, steps } = await ask('example.test', ALICE.token, prefix)
    expect(status).toBe(200)
    expect(json).toMatchObject({
      base_url: 'https://t.test:4444',
      hostname: 'd.test',
      versions_response: { server: { name: 'Synapse', version: '1.2' } },
    })
    expect(steps.map(({ step }) => step)).toEqual([
      'addresses of example.test',
      'connect to example.test port 443',
      'TLS with example.test',
      'well-known of example.test',
      'SRV _matrix-fed._tcp.d.test',
      'addresses of t.test',
      'connect to t.test port 4444',
      'TLS with d.test',
      'GET /_matrix/federation/v1/version, connecting included',
    ])
    expect(steps.every(({ duration_ms }) => typeof duration_ms === 'number')).toBe(true)
  })

  test('and see where it ends, also when it has ended there before', async () => {
    internet.dns.set('broken.test', { A: [SERVER] })
    for (let time = 0; time < 4; time++) {
      const { status, json, steps } = await ask('broken.test')
      expect(status).toBe(502)
      expect(json).toMatchObject({ errcode: 'M_UNKNOWN', error: expect.stringContaining('ECONNREFUSED') })
      expect(steps.at(-2)).toMatchObject({ step: 'connect to broken.test port 8448', error: expect.any(String) })
    }
  })

  test('and see which option forbids it; so does the log', async () => {
    const { status, json } = await ask('127.0.0.1:8448')
    expect(status).toBe(502)
    expect(json['error']).toContain('federation.disallowedNetworks has 127.0.0.1/8')
    await eventually(() =>
      /federation\.disallowedNetworks has 127\.0\.0\.1\/8.*an address was not connected to/.test(app.log()),
    )
  })

  test('and hear that an SRV record leads to an alias', async () => {
    internet.dns.set('_matrix-fed._tcp.alias.test', { SRV: [{ target: 'other.test', port: 4444 }] })
    internet.dns.set('other.test', { CNAME: 't.test' })
    internet.dns.set('alias.test', { A: [WEB] })
    await internet.add(SERVER, 4444, { certificate: ['alias.test', 'd.test'] })
    const { status, steps } = await ask('alias.test')
    expect(status).toBe(200)
    expect(steps.at(-1)).toMatchObject({
      step: 'alias of other.test',
      error: expect.stringContaining('is an alias of t.test'),
    })
  })

  test('and nobody else does', async () => {
    expect((await ask('example.test', BOB.token)).status).toBe(403)
    expect((await ask('a%20b')).status).toBe(400)
  })

  test('by the rules of the configuration as it is now', async () => {
    internet.dns.set('inside.test', { A: ['10.1.2.3'] })
    await internet.add('10.1.2.3', 8448, { certificate: ['inside.test'] })
    expect((await ask('inside.test')).status).toBe(502)
    await app.reload({ admins: [ALICE.userId], federation: { disallowedNetworks: ['192.168.0.0/16'] } })
    expect((await ask('inside.test')).status).toBe(200)
    await app.reload({
      admins: [ALICE.userId],
      federation: { disallowedNetworks: [], allowedNetworks: ['10.0.0.0/9'] },
    })
    expect((await ask('inside.test')).status).toBe(200)
    await app.reload({ admins: [ALICE.userId], federation: { allowedNetworks: ['192.168.0.0/16'] } })
    expect((await ask('inside.test')).json['error']).toContain('federation')
  })
})
