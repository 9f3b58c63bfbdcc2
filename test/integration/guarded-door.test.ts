import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { PRIVATE_NETWORKS } from '../../src/config/networks.ts'
import { networkRules } from '../../src/lib/addresses.ts'
import { type AddressRefused } from '../../src/lib/connect.ts'
import { type Dial, dial } from '../../src/lib/dial.ts'
import { Door } from '../../src/lib/net.ts'
import { Discovery } from '../../src/matrix/discovery.ts'
import { Origins } from '../../src/matrix/origins.ts'
import { literals, odd } from '../support/forbidden-addresses.ts'
import { recordingLog } from '../support/log.ts'
import { describeWith } from '../support/services.ts'
import { delegating, type Handler, type SmallInternet, startSmallInternet } from '../support/small-internet.ts'

const WEB = '203.0.113.80'
const LIMITS = { redirects: 3, bodyBytes: 1000, idleMs: 10_000, totalMs: 30_000 }

/** A listener on the side that must not be reached: every address of this machine, IPv4 and IPv6. */
let forbidden: Server
let port: number
let connections = 0
let internet: SmallInternet
let door: Door
const refused: AddressRefused[] = []

/** The real network for this machine's addresses (each port is the listener's), the small internet for all others. */
const reallyDial: Dial = async (addresses, _port, options) => {
  try {
    return await internet.dial(addresses, _port, options)
  } catch {
    return await dial(addresses, port, options)
  }
}

const redirecting =
  (location: string): Handler =>
  (_, response) =>
    void response.writeHead(302, { location }).end()

function askOrigin(server: string) {
  const { clock, lookup } = internet
  const discovery = new Discovery({ clock, door, lookup, random: () => 0.5, pause: async () => {} })
  const origins = new Origins({ log: recordingLog().log, clock, door, discovery, backoffAt: () => 20 })
  return origins.request(server, { method: 'GET', path: '/', idleMs: 10_000 })
}

describeWith('openssl', 'What is in a forbidden network gets no connection', () => {
  beforeAll(async () => {
    internet = await startSmallInternet()
    forbidden = createServer((socket) => {
      connections++
      socket.destroy()
    })
    forbidden.listen(0, '::')
    await once(forbidden, 'listening')
    const address = forbidden.address()
    if (address === null || typeof address === 'string') throw new Error('the listener has no port')
    port = address.port
    const lists = {
      section: 'federation',
      allowedNetworks: ['0.0.0.0/0', '::/0'],
      disallowedNetworks: PRIVATE_NETWORKS,
    }
    const rules = networkRules(lists)
    door = new Door({
      clock: internet.clock,
      lookup: internet.lookup,
      rules: () => rules,
      dial: reallyDial,
      random: () => 0.5,
      onRefused: (refusal) => void refused.push(refusal),
      authorities: [internet.authority.certificate],
    })
  })
  beforeEach(() => {
    connections = 0
    refused.length = 0
  })
  afterAll(async () => {
    await door[Symbol.asyncDispose]()
    await internet[Symbol.asyncDispose]()
    forbidden.close()
  })

  test('although it would take one (the listener counts)', async () => {
    const socket = await dial(['127.0.0.1'], port, { timeoutMs: 10_000 })
    await once(socket.resume(), 'close')
    expect(connections).toBe(1)
  })

  describe.each([...literals, ...odd])('%s', (host) => {
    test('as a server name', async () => {
      await expect(askOrigin(`${host}:${port}`)).rejects.toThrow()
      expect(connections).toBe(0)
    })

    test('as an address to fetch', async () => {
      const url = URL.parse(`http://${host}:${port}/`)
      if (url) await expect(door.get(url, { ...LIMITS, plainHttp: true })).rejects.toThrow('is not connected to')
      expect(connections).toBe(0)
    })

    test('in a redirect', async () => {
      internet.dns.set('redirecting.test', { A: [WEB] })
      await internet.add(WEB, 443, {
        certificate: ['redirecting.test'],
        handler: redirecting(`http://${host}:${port}/`),
      })
      const fetched = door.get(new URL(`https://redirecting.test/${host}`), { ...LIMITS, plainHttp: true })
      await expect(fetched).rejects.toThrow()
      expect(connections).toBe(0)
    })

    test('in a delegation', async () => {
      const name = `d${connections}-${Buffer.from(host).toString('hex')}.test`
      internet.dns.set(name, { A: [WEB] })
      await internet.add(WEB, 443, { certificate: [name], handler: delegating(`${host}:${port}`) })
      await expect(askOrigin(name)).rejects.toThrow()
      expect(connections).toBe(0)
    })
  })

  test.each([301, 302, 303, 307, 308])('in the second of two redirects (%i), without a scheme too', async (status) => {
    const [first, second] = [`first${status}.test`, `second${status}.test`]
    for (const name of [first, second]) internet.dns.set(name, { A: [WEB] })
    for (const location of [`http://127.0.0.1:${port}/`, `//[::1]:${port}/`, `//user:secret@127.0.0.1:${port}/`]) {
      await internet.add(WEB, 443, {
        certificate: [first, second],
        handler: ({ headers }, response) =>
          void response.writeHead(status, { location: headers.host === first ? `https://${second}/` : location }).end(),
      })
      const fetched = door.get(new URL(`https://${first}/`), { ...LIMITS, plainHttp: true })
      await expect(fetched).rejects.toThrow('is not connected to')
    }
    expect(connections).toBe(0)
  })

  test('in a redirect of the well-known address, or behind the name of a delegation', async () => {
    internet.dns.set('inside-too.test', { A: ['127.0.0.1'] })
    const handlers: Record<string, Handler> = {
      'moved.test': redirecting(`https://127.0.0.1:${port}/.well-known/matrix/server`),
      'named.test': delegating(`inside-too.test:${port}`),
      'served.test': delegating('inside-too.test'),
    }
    for (const [name, handler] of Object.entries(handlers)) {
      internet.dns.set(name, { A: [WEB] })
      await internet.add(WEB, 443, { certificate: [name], handler })
      await expect(askOrigin(name)).rejects.toThrow()
    }
    expect(refused.map(({ host }) => host)).toEqual(['127.0.0.1', 'inside-too.test', 'inside-too.test'])
    expect(connections).toBe(0)
  })

  const inDns = {
    v4: { A: ['127.0.0.1'] },
    v6: { AAAA: ['::1'] },
    mapped: { AAAA: ['::ffff:127.0.0.1'] },
    both: { A: ['10.0.0.1'], AAAA: ['fd00::1'] },
  }
  test.each(Object.entries(inDns))(
    'behind a name (%s), or an alias of it, or the well-known address',
    async (kind, records) => {
      internet.dns.set(`${kind}.test`, records)
      internet.dns.set(`alias-${kind}.test`, { CNAME: `${kind}.test` })
      for (const name of [`${kind}.test`, `alias-${kind}.test`]) {
        await expect(askOrigin(`${name}:${port}`)).rejects.toThrow('federation.disallowedNetworks has')
        await expect(askOrigin(name)).rejects.toThrow('federation.disallowedNetworks has')
      }
      expect(connections).toBe(0)
      expect(refused.length).toBeGreaterThanOrEqual(4)
    },
  )

  test('behind an SRV record', async () => {
    internet.dns.set('inside.test', { A: ['127.0.0.1'] })
    const targets = ['inside.test', 'localhost', '127.0.0.1'].map((target) => ({ target, port }))
    internet.dns.set('_matrix-fed._tcp.srv.test', { SRV: targets })
    await expect(askOrigin('srv.test')).rejects.toThrow('is not connected to')
    expect(connections).toBe(0)
  })

  test('behind a name of the machine itself', async () => {
    await expect(askOrigin(`localhost:${port}`)).rejects.toThrow('federation.disallowedNetworks has 127.0.0.1/8')
    await expect(askOrigin(`any.localhost:${port}`)).rejects.toThrow('is not connected to')
    expect(connections).toBe(0)
  })

  test('behind a name that is at a public address when it is first looked up, and inside the next time', async () => {
    let asked = 0
    internet.dns.set('rebinding.test', (type) => {
      if (type !== 'A') return {}
      return { A: [asked++ === 0 ? WEB : '127.0.0.1'] }
    })
    await internet.add(WEB, 443, {
      certificate: ['rebinding.test'],
      handler: (_, response) => void response.setHeader('connection', 'close').end('outside'),
    })
    const first = await door.get(new URL('https://rebinding.test/'), LIMITS)
    expect(Buffer.concat(await first.body.toArray()).toString()).toBe('outside')
    await pause(50)
    await expect(door.get(new URL('https://rebinding.test/'), LIMITS)).rejects.toThrow('is not connected to')
    expect([asked, connections]).toEqual([2, 0])
  })

  test('but a name with a public address beside it is reached there', async () => {
    internet.dns.set('mixed.test', { A: ['127.0.0.1', WEB, '10.0.0.1'] })
    await internet.add(WEB, 443, { certificate: ['mixed.test'] })
    const response = await door.get(new URL('https://mixed.test/'), LIMITS)
    expect(Buffer.concat(await response.body.toArray()).toString()).toBe('{}')
    expect(connections).toBe(0)
  })
})
