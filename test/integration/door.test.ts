import { once } from 'node:events'
import { createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeWith } from '../support/services.ts'
import { type Handler, type SmallInternet, startSmallInternet } from '../support/small-internet.ts'
import { Connector, orderTargets, trust } from '../../src/lib/connect.ts'
import { type Dial, dial } from '../../src/lib/dial.ts'
import type { GetOptions } from '../../src/lib/net.ts'

const WEB = '203.0.113.80'
const LIMITS: GetOptions = { redirects: 3, bodyBytes: 1000, idleMs: 20_000, totalMs: 60_000 }

let internet: SmallInternet

async function serve(name: string, handler: Handler, changes: { certificate?: string[]; strange?: boolean } = {}) {
  internet.dns.set(name, { A: [WEB] })
  await internet.add(WEB, 443, { certificate: [name], handler, ...changes })
}

async function get(url: string, changes: Partial<GetOptions> = {}) {
  const response = await internet.door.get(new URL(url), { ...LIMITS, ...changes })
  return {
    status: response.status,
    url: response.url.href,
    text: Buffer.concat(await response.body.toArray()).toString(),
  }
}

const redirect =
  (location: string, status = 302): Handler =>
  (_, response) =>
    void response.writeHead(status, { location }).end('moved')

describeWith('openssl', 'An address that strangers give', () => {
  beforeAll(async () => {
    internet = await startSmallInternet()
  })
  afterAll(() => internet[Symbol.asyncDispose]())

  test.each([301, 302, 303, 307, 308])('is followed where it redirects to (%i), also relatively', async (status) => {
    const to = `https://two${status}.test/b?c=d`
    const first = redirect('/next', status)
    await serve(`one${status}.test`, (request, response) =>
      (request.url === '/a' ? first : redirect(to, status))(request, response),
    )
    internet.dns.set(`two${status}.test`, { A: ['203.0.113.81'] })
    await internet.add('203.0.113.81', 443, {
      certificate: [`two${status}.test`],
      handler: (_, response) => void response.end('there'),
    })
    expect(await get(`https://one${status}.test/a`)).toEqual({ status: 200, url: to, text: 'there' })
  })

  test('is not followed in circles, nor too far, nor anywhere but to http(s)', async () => {
    await serve('circle.test', (request, response) => redirect(request.url === '/a' ? '/b' : '/a')(request, response))
    await expect(get('https://circle.test/a')).rejects.toThrow('redirects in a circle')
    await serve('far.test', (request, response) => redirect(`${request.url}x`)(request, response))
    await expect(get('https://far.test/')).rejects.toThrow('redirects more than 3 times')
    for (const location of ['http://far.test/', 'file:///etc/passwd', 'ftp://far.test/']) {
      await serve('odd.test', redirect(location))
      await expect(get('https://odd.test/')).rejects.toThrow('it has to begin with https:')
    }
    await serve('none.test', redirect('http://['))
    await expect(get('https://none.test/')).rejects.toThrow('which is no address')
  })

  test('is not followed at all where nobody wants that', async () => {
    await serve('stay.test', redirect('/next'))
    expect(await get('https://stay.test/', { redirects: 0 })).toMatchObject({ status: 302, text: 'moved' })
  })

  test('gets credentials, and those it redirects to do not', async () => {
    const headers = { Authorization: 'Bearer secret', cookie: 'a=b', accept: 'x/y' }
    internet.dns.set('thief.test', { A: ['203.0.113.81'] })
    await internet.add('203.0.113.81', 443, { certificate: ['thief.test'] })
    await serve('trusted.test', (request, response) =>
      redirect(request.url === '/' ? '/same' : 'https://thief.test/')(request, response),
    )
    await get('https://trusted.test/', { headers })
    const [first, same, thief] = internet.requests.slice(-3).map((request) => request.headers)
    expect(first).toMatchObject({ authorization: 'Bearer secret', cookie: 'a=b', accept: 'x/y' })
    expect(same).toMatchObject({ authorization: 'Bearer secret' })
    expect(thief).toMatchObject({ accept: 'x/y', host: 'thief.test' })
    expect(Object.keys(thief ?? {})).not.toContain('authorization')
    expect(Object.keys(thief ?? {})).not.toContain('cookie')
  })

  test('may send so much and no more, whether or not it says how much that is', async () => {
    await serve('just.test', (_, response) => void response.end('x'.repeat(1000)))
    expect((await get('https://just.test/')).text).toHaveLength(1000)
    await serve('more.test', (_, response) => void response.end('x'.repeat(1001)))
    await expect(get('https://more.test/')).rejects.toThrow('the answer has 1001 bytes, and 1000 are allowed')
    await serve('endless.test', (_, response) => {
      const more = () => void (response.write('x'.repeat(100_000)) ? setImmediate(more) : response.once('drain', more))
      more()
      response.on('error', () => {})
    })
    await expect(get('https://endless.test/')).rejects.toThrow('more than the 1000 bytes')
  })

  test('is hung up on when nobody wants its answer any more', async () => {
    const hungUp = Promise.withResolvers<void>()
    await serve('unwanted.test', (_, response) => {
      response.on('close', () => hungUp.resolve()).on('error', () => {})
      response.write('x'.repeat(1000))
    })
    const { body } = await internet.door.get(new URL('https://unwanted.test/'), LIMITS)
    body.destroy()
    await hungUp.promise
  })

  test('may send headers of 16 KiB, but not of 20', async () => {
    await serve('headers.test', (_, response) => void response.setHeader('x-long', 'x'.repeat(14_000)).end())
    expect((await get('https://headers.test/')).status).toBe(200)
    await serve('long.test', (_, response) => void response.setHeader('x-long', 'x'.repeat(20_000)).end())
    await expect(get('https://long.test/')).rejects.toThrow(/header/i)
  })

  test('may not take too long: to begin, to go on, and altogether', async () => {
    await serve('mute.test', () => {})
    await expect(get('https://mute.test/', { idleMs: 200 })).rejects.toThrow(/timeout/i)
    await serve('stalling.test', (_, response) => void response.write('some'))
    await expect(get('https://stalling.test/', { idleMs: 200 })).rejects.toThrow(/timeout/i)
    await serve('dripping.test', (_, response) => {
      const drip = setInterval(() => response.write('.'), 20)
      response.on('close', () => clearInterval(drip))
    })
    await expect(get('https://dripping.test/', { totalMs: 1500 })).rejects.toThrow(/timeout|abort/i)
  })

  test.each([
    ['for another name', { certificate: ['another.test'] }],
    ['by an unknown authority', { strange: true }],
  ])('is not believed with a certificate %s', async (_, changes) => {
    const name = 'strange' in changes ? 'unknown.test' : 'name.test'
    await serve(name, (_request, response) => void response.end(), changes)
    const before = internet.requests.length
    await expect(get(`https://${name}/`)).rejects.toThrow(/certificate/i)
    expect(internet.requests).toHaveLength(before)
  })

  test('can be an IP address, with a certificate for that', async () => {
    await internet.add(WEB, 443, { certificate: [WEB] })
    await internet.add('2001:db8::80', 444, { certificate: ['2001:db8::80'] })
    expect((await get(`https://${WEB}/`)).text).toBe('{}')
    expect((await get('https://[2001:db8::80]:444/')).text).toBe('{}')
    expect(internet.requests.at(-1)).toMatchObject({ host: '[2001:db8::80]:444', serverName: undefined })
  })

  test('is not asked over connections of before once the rules have changed', async () => {
    await serve('kept.test', (_, response) => void response.end())
    await get('https://kept.test/')
    const before = internet.dialled.length
    internet.door.renew()
    await get('https://kept.test/')
    expect(internet.dialled).toHaveLength(before + 1)
  })
})

describe('Dialling', () => {
  test('goes on to the next address when one is refused, and says of each why if all are', async () => {
    const server = createServer((socket) => void socket.end())
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' && address ? address.port : 0
    try {
      const socket = await dial(['127.0.0.2', '::1', '127.0.0.1'], port, { timeoutMs: 20_000 })
      expect(socket.remoteAddress).toBe('127.0.0.1')
      socket.destroy()
      await expect(dial(['127.0.0.2', '127.0.0.3'], port, { timeoutMs: 20_000 })).rejects.toThrow(
        /127\.0\.0\.2.*127\.0\.0\.3/,
      )
    } finally {
      server.close()
    }
  })

  test('without addresses fails', async () => {
    await expect(dial([], 1, { timeoutMs: 1000 })).rejects.toThrow('there are no addresses')
  })
})

const target = (host: string, priority: number, weight: number) => ({ host, port: 1, priority, weight })

describe('Targets are tried', () => {
  test('by priority', () => {
    const targets = [target('c', 30, 9), target('a', 10, 0), target('b', 20, 5)]
    expect(orderTargets(targets, Math.random).map(({ host }) => host)).toEqual(['a', 'b', 'c'])
  })

  test('among equals more often first the more weight they have', () => {
    const targets = [target('light', 10, 10), target('heavy', 10, 90)]
    const draws = Array.from({ length: 100 }, (_, index) => orderTargets(targets, () => index / 100)[0]?.host)
    expect(draws.filter((host) => host === 'heavy')).toHaveLength(90)
    expect(orderTargets(targets, () => 0.999).map(({ host }) => host)).toEqual(['heavy', 'light'])
  })

  test('also with weight 0', () => {
    const targets = [target('a', 10, 0), target('b', 10, 0)]
    expect(orderTargets(targets, () => 0)[0]?.host).toBe('a')
    expect(orderTargets(targets, () => 0.9)[0]?.host).toBe('b')
  })
})

describe('A server that lists very many places', () => {
  const targets = Array.from({ length: 500 }, (_, index) => ({ host: `t${index}.test`, port: 1, priority: index }))
  const addresses = Array.from({ length: 250 }, (_, index) => `203.0.113.${index}`)

  /** Where a connector dials that gets nowhere, each attempt taking so many ms. */
  async function dialledBy(eachMs: number): Promise<readonly (readonly string[])[]> {
    let now = 0
    const dialled: (readonly string[])[] = []
    const nowhere: Dial = async (tried) => {
      dialled.push(tried)
      now += eachMs
      throw new Error('nobody is there')
    }
    const connector = new Connector(
      {
        clock: { now: () => now },
        lookup: { addresses: async () => addresses },
        rules: () => ({ refusalOf: () => undefined }),
        dial: nowhere,
        random: () => 0.5,
        onRefused: () => {},
        secureContext: trust([]),
      },
      { targets, tlsName: undefined },
    )
    await expect(connector.connect()).rejects.toThrow('nobody is there')
    return dialled
  }

  test('is tried at ten of them, and at twenty addresses of each', async () => {
    const dialled = await dialledBy(1)
    expect(dialled.map((tried) => tried.length)).toEqual(Array.from({ length: 10 }, () => 20))
  })

  test('is tried for half a minute', async () => {
    expect(await dialledBy(10_000)).toHaveLength(3)
  })
})
