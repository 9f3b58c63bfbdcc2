import { Buffer } from 'node:buffer'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { FILES, type Fetching, OURS, SIGNED, startFetching, V3 } from '../support/federation-client.ts'
import { byPath, head, mixed, response, type Script, sending } from '../support/scripted-origin.ts'
import { describeWith } from '../support/services.ts'
import { errorAnswer } from '../../src/http/errors.ts'
import { refusalOf } from '../../src/matrix/remote-error.ts'

const FILE = Buffer.from('the file')
const AT_FILES = `https://${FILES}/store/a?sig=1%2F2`

let fetching: Fetching

/** The signed endpoint says that the file is elsewhere, as Synapse does; most servers say nothing beside it. */
const locating = (location: string, ...more: readonly string[]): Script =>
  sending(mixed('', { headers: [...more, `Location: ${location}`] }))

const redirecting = (location: string, status = 307): Script =>
  byPath({ [SIGNED]: sending(response(404)), [V3]: sending(response(status, 'moved', [`Location: ${location}`])) })

const stored = response(200, FILE, ['Content-Type: a/b', 'Content-Disposition: inline; filename="kept.bin"'])

/** Both ways in which a server may say that a file is elsewhere. */
const WAYS: readonly (readonly [string, (location: string) => Script])[] = [
  ['in a part', locating],
  ['by a redirect of the old endpoint', redirecting],
]

describeWith('openssl', 'A server that says where the file is', () => {
  beforeAll(async () => {
    fetching = await startFetching()
  })
  beforeEach(() => {
    fetching.renew()
    fetching.files.say(sending(stored))
  })
  afterAll(() => fetching[Symbol.asyncDispose]())

  test.each(WAYS)('%s is followed there, without our credentials', async (_, way) => {
    fetching.theirs.say(way(AT_FILES))
    const file = await fetching.fetch()
    expect(file).toMatchObject({ contentType: 'a/b', fileName: 'kept.bin', size: FILE.length })
    expect(file.bytes.equals(FILE)).toBe(true)
    const { target, headers } = fetching.files.requests.at(-1) ?? { target: '', headers: {} }
    expect(target).toBe('/store/a?sig=1%2F2')
    expect(headers).toMatchObject({ host: FILES, 'accept-encoding': 'identity', 'user-agent': 'Cellarium' })
    expect(Object.keys(headers)).not.toContain('authorization')
  })

  test('is followed whatever else the part says, which counts for nothing', async () => {
    const more = ['Content-Type: image/png', 'Content-Length: 1', 'Content-Disposition: inline; filename="other"']
    fetching.theirs.say(sending(mixed('not the file', { headers: [...more, `Location: ${AT_FILES}`] })))
    expect(await fetching.fetch()).toMatchObject({ contentType: 'a/b', fileName: 'kept.bin', bytes: FILE })
  })

  test('is asked over the same connection again, also when the end of what it says comes later', async () => {
    const answer = mixed('', { headers: [`Location: ${AT_FILES}`] })
    fetching.theirs.say(async (talk) => {
      await talk.send(answer.subarray(0, -1))
      setTimeout(() => void talk.send(answer.subarray(-1)), 20)
    })
    fetching.files.say(async (talk) => {
      await new Promise((resolve) => setTimeout(resolve, 200))
      await talk.send(stored)
    })
    const before = fetching.theirs.connections()
    for (let time = 0; time < 5; time++) await fetching.fetch()
    // One more is opened where the machine is so slow that the end comes after the file.
    expect(fetching.theirs.connections() - before).toBeLessThanOrEqual(3)
  })

  test.each([301, 302, 303, 307, 308])('by %i on the old endpoint is followed, also on itself', async (status) => {
    fetching.theirs.say(
      byPath({
        [SIGNED]: sending(response(404)),
        [V3]: sending(response(status, 'moved', ['Location: /files/b?c=d'])),
        '/files/b?c=d': sending(response(status, 'moved', ['Location: c'])),
        '/files/c': sending(stored),
      }),
    )
    expect((await fetching.fetch()).bytes.equals(FILE)).toBe(true)
    expect(fetching.asked()).toEqual(['signed', 'v3', '/files/b?c=d', '/files/c'])
    expect(Object.keys(fetching.last().headers)).not.toContain('authorization')
  })

  test('on itself in a circle is not followed for ever', async () => {
    fetching.theirs.say(
      byPath({ [SIGNED]: sending(response(404)), [V3]: sending(response(307, '', ['Location: ?again'])) }),
    )
    const error = await fetching.failure()
    expect(error).toMatchObject({ reason: 'broken', isWorthKeeping: false })
    expect(fetching.asked()).toHaveLength(7)
  })

  test.each<[string, string, string]>([
    ['a private address', 'https://10.1.2.3/a', 'federation.disallowedNetworks'],
    ['an IPv4 address in an IPv6 one', 'https://[::ffff:127.0.0.1]/a', 'federation.disallowedNetworks'],
    ['a name that has a private address', 'https://inside.test/a', 'federation.disallowedNetworks'],
    ['this machine', 'https://localhost/a', 'federation.disallowedNetworks'],
  ])('to %s is not followed', async (_, location, why) => {
    fetching.internet.dns.set('inside.test', { A: ['192.168.1.1'] })
    for (const [, way] of WAYS) {
      fetching.theirs.say(way(location))
      const before = fetching.internet.dialled.length
      const error = await fetching.failure()
      expect(error).toMatchObject({ reason: 'address_refused', isWorthKeeping: true })
      expect(error.message).toContain(why)
      expect(fetching.internet.dialled.slice(before).every((at) => at === '203.0.113.10:8448')).toBe(true)
      // Whoever asks is not told what there is in this network.
      const told = errorAnswer(refusalOf(error))
      expect(told.status).toBe(502)
      expect(JSON.stringify(told.body)).not.toMatch(/10\.1|192\.168|127\.0|inside/)
    }
  })

  test('to ourselves is not followed: we would ask it again, in a circle', async () => {
    fetching.internet.dns.set(OURS, { A: ['203.0.113.20'] })
    for (const [, way] of WAYS) {
      fetching.theirs.say(way(`https://${OURS}/_matrix/media/v3/download/theirs.test:8448/a`))
      const error = await fetching.failure()
      expect(error.reason).toBe('broken')
      expect(error.message).toContain('it would ask itself')
    }
  })

  test('to an address that redirects to a private one is not followed there', async () => {
    fetching.files.say(sending(response(302, '', ['Location: https://127.0.0.1:9/'])))
    fetching.theirs.say(locating(AT_FILES))
    expect((await fetching.failure()).reason).toBe('address_refused')
  })

  test('to an address that redirects to another host is followed there', async () => {
    const other = `https://theirs.test:8448/elsewhere`
    fetching.files.say(sending(response(302, '', [`Location: ${other}`])))
    fetching.theirs.say(byPath({ [SIGNED]: locating(AT_FILES), '/elsewhere': sending(stored) }))
    expect((await fetching.fetch()).bytes.equals(FILE)).toBe(true)
  })

  test.each<[string, string, RegExp]>([
    ['relative in a part', '/store/a', /no address/],
    ['no address at all', 'https://[', /no address/],
    ['without encryption', `http://${FILES}/store/a`, /has to begin with https:/],
    ['a file of this machine', 'file:///etc/passwd', /has to begin with https:/],
    ['data of its own', 'data:text/plain,hello', /has to begin with https:/],
  ])('with an address that is %s is not followed', async (_, location, why) => {
    fetching.theirs.say(locating(location))
    const error = await fetching.failure()
    expect(error.reason).toBe('broken')
    expect(error.message).toMatch(why)
  })

  test.each<[string, (target: string) => string, RegExp]>([
    ['in a circle', (target) => (target === '/a?sig=secret' ? '/b' : '/a?sig=secret'), /redirects in a circle/],
    ['on and on', (target) => `${target}x`, /redirects more than 5 times/],
    ['to where there is no encryption', () => `http://${FILES}/`, /has to begin with https:/],
  ])('to an address that redirects %s is given up', async (_, next, why) => {
    fetching.theirs.say(locating(`https://${FILES}/a?sig=secret`))
    fetching.files.say(async (talk, { target }) => await talk.send(response(302, '', [`Location: ${next(target)}`])))
    const error = await fetching.failure()
    expect(error.reason).toBe('broken')
    expect(error.message).toMatch(why)
    // What a signed address holds is a secret.
    expect(error.message).not.toContain('sig=')
  })

  test.each([
    [204, 'broken'],
    [206, 'broken'],
    [304, 'broken'],
    [403, 'broken'],
    [404, 'broken'],
    [500, 'failing'],
    [503, 'failing'],
  ])('to where the answer is %i has no file for us', async (status, reason) => {
    fetching.theirs.say(locating(AT_FILES))
    fetching.files.say(sending(status === 204 || status === 304 ? head(status, []) : response(status, 'no')))
    const error = await fetching.failure()
    expect(error).toMatchObject({ reason, isWorthKeeping: false })
    expect(error.message).toContain(`answered ${status}`)
    expect(error.message).not.toContain('sig=')
  })

  test('to a file that is too large has none for us, whether or not its length is known', async () => {
    fetching.theirs.say(locating(AT_FILES))
    fetching.files.say(sending(response(200, Buffer.alloc(1001))))
    expect(await fetching.failure({ maxBytes: 1000 })).toMatchObject({ reason: 'too_large', isWorthKeeping: true })
    fetching.files.say(async (talk) => {
      await talk.send(head(200, ['Connection: close']), Buffer.alloc(1001))
      talk.end()
    })
    expect((await fetching.failure({ maxBytes: 1000 })).reason).toBe('too_large')
    fetching.files.say(sending(response(200, Buffer.alloc(1000))))
    expect((await fetching.fetch({ maxBytes: 1000 })).bytes).toHaveLength(1000)
  })

  test('to a server that does not exist, cannot prove who it is or is not there is told apart', async () => {
    fetching.theirs.say(locating('https://nowhere.test/'))
    expect((await fetching.failure()).reason).toBe('no_such_server')
    fetching.internet.dns.set('false.test', { A: ['203.0.113.20'] })
    fetching.theirs.say(locating('https://false.test/'))
    expect((await fetching.failure()).reason).toBe('untrusted')
    fetching.internet.dns.set('gone.test', { A: ['203.0.113.99'] })
    fetching.theirs.say(locating('https://gone.test/'))
    expect((await fetching.failure()).reason).toBe('unreachable')
  })

  test('to a compressed file, or one that breaks off or stalls, has none for us', async () => {
    fetching.theirs.say(locating(AT_FILES))
    fetching.files.say(sending(response(200, FILE, ['Content-Encoding: br'])))
    expect((await fetching.failure()).message).toContain('Content-Encoding: br')
    fetching.files.say(async (talk) => {
      await talk.send(head(200, ['Content-Length: 100']), 'the fi')
      talk.reset()
    })
    expect((await fetching.failure()).reason).toBe('broken')
    fetching.files.say(sending(head(200, ['Content-Length: 100']), 'the fi'))
    expect((await fetching.failure({ idleMs: 300 })).reason).toBe('timed_out')
  })
})
