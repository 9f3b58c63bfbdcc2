import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Dial, dial } from '../../src/lib/dial.ts'
import { NoPreview } from '../../src/previews/no-preview.ts'
import { fetchPicture } from '../../src/previews/picture.ts'
import { literals, odd } from '../support/forbidden-addresses.ts'
import { recordingLog } from '../support/log.ts'
import { openPreviewFetching, type PreviewFetching, type UrlPreviews } from '../support/preview-fetching.ts'
import { describeWith } from '../support/services.ts'
import { type Handler, type SmallInternet, startSmallInternet } from '../support/small-internet.ts'

const WEB = '203.0.113.80'

/** A listener on the side that must not be reached: every address of this machine, IPv4 and IPv6. */
let forbidden: Server
let port: number
let connections = 0
let internet: SmallInternet
let fetching: PreviewFetching

/** The real network for this machine's addresses (each port is the listener's), the small internet for all others. */
const reallyDial: Dial = async (addresses, asked, options) => {
  try {
    return await internet.dial(addresses, asked, options)
  } catch {
    return await dial(addresses, port, options)
  }
}

const redirecting =
  (location: string): Handler =>
  (_, response) =>
    void response.writeHead(302, { location }).end()

/** Why a page is not previewed. */
async function whyNot(url: string, changes: Partial<UrlPreviews> = {}): Promise<string> {
  const error = await fetching.page(url, changes).then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!(error instanceof NoPreview)) throw new Error(`${url} was fetched, or failed otherwise`, { cause: error })
  expect(error.message).toBe('There is no preview of this address')
  return error.why
}

const seen: Parameters<typeof fetchPicture>[0]['lookAt'] = async () => {
  throw new Error('there is nothing to look at')
}

async function tryPicture(url: string): Promise<void> {
  const parts = {
    ...fetching.parts,
    log: recordingLog().log,
    lookAt: seen,
    stage: async () => {
      throw new Error('nothing comes')
    },
  }
  const thumbnails = { types: ['image/png'], maxPixels: 1, maxSourceBytes: 1 }
  const options = { ...fetching.options(), downloads: { maxBytes: 0 }, thumbnails }
  const wish = { language: 'en', signal: new AbortController().signal }
  expect(await fetchPicture(parts, options, [{ url: new URL(url) }], wish)).toBeUndefined()
}

const wideOpen = { previewUnsafeCertificates: true, disallowedUrls: ['nothing.test'] }

describeWith('openssl', 'A preview of what is in a forbidden network makes no connection', () => {
  beforeAll(async () => {
    internet = await startSmallInternet()
    fetching = openPreviewFetching(internet, reallyDial)
    forbidden = createServer((socket) => {
      connections++
      socket.destroy()
    })
    forbidden.listen(0, '::')
    await once(forbidden, 'listening')
    const address = forbidden.address()
    if (address === null || typeof address === 'string') throw new Error('the listener has no port')
    port = address.port
  })
  beforeEach(() => void (connections = 0))
  afterAll(async () => {
    await fetching[Symbol.asyncDispose]()
    await internet[Symbol.asyncDispose]()
    forbidden.close()
  })

  test('although it would take one (the listener counts)', async () => {
    await expect(whyNot(`http://127.0.0.1:${port}/`, { disallowedNetworks: [] })).resolves.toBe('unreachable')
    await expect(whyNot(`http://[::1]:${port}/`, { disallowedNetworks: [] })).resolves.toBe('unreachable')
    expect(connections).toBe(2)
  })

  describe.each([...literals, ...odd, 'user:secret@127.0.0.1', '[fe80::1%25lo]', '[::ffff:0:0]'])('%s', (host) => {
    const places = [`http://${host}:${port}/`, `https://${host}:${port}/`, `//${host}:${port}/`]

    test('as an address that a client gives, with certificates checked or not', async () => {
      for (const text of places) {
        const url = URL.parse(text)
        if (!url) continue
        expect(await whyNot(url.href)).toBe('network_disallowed')
        expect(await whyNot(url.href, wideOpen)).toBe('network_disallowed')
      }
      expect(connections).toBe(0)
    })

    test.each([301, 307])('in a redirect (%i)', async (status) => {
      internet.dns.set('redirecting.test', { A: [WEB] })
      for (const location of places) {
        await internet.add(WEB, 443, {
          certificate: ['redirecting.test'],
          handler: (_, response) => void response.writeHead(status, { location }).end(),
        })
        expect(await whyNot(`https://redirecting.test/${status}`)).toMatch(/network_disallowed|redirects/)
        expect(await whyNot(`https://redirecting.test/${status}`, wideOpen)).toMatch(/network_disallowed|redirects/)
      }
      expect(connections).toBe(0)
    })

    test('as a picture', async () => {
      for (const text of places) if (URL.canParse(text)) await tryPicture(text)
      expect(connections).toBe(0)
    })
  })

  test('as a picture that redirects there', async () => {
    internet.dns.set('picture.test', { A: [WEB] })
    await internet.add(WEB, 443, { certificate: ['picture.test'], handler: redirecting(`http://127.0.0.1:${port}/`) })
    await tryPicture('https://picture.test/a.png')
    expect(connections).toBe(0)
  })

  const inDns = {
    v4: { A: ['127.0.0.1'] },
    v6: { AAAA: ['::1'] },
    mapped: { AAAA: ['::ffff:127.0.0.1'] },
    nat64: { AAAA: ['64:ff9b::7f00:1'] },
    both: { A: ['10.0.0.1'], AAAA: ['fd00::1'] },
    metadata: { A: ['169.254.169.254'], AAAA: ['fd00:ec2::254'] },
  }
  test.each(Object.entries(inDns))('behind a name (%s), or an alias of it', async (kind, records) => {
    internet.dns.set(`${kind}.test`, records)
    internet.dns.set(`alias-${kind}.test`, { CNAME: `${kind}.test` })
    for (const name of [`${kind}.test`, `alias-${kind}.test`, `${kind.toUpperCase()}.test.`]) {
      expect(await whyNot(`http://${name}:${port}/`)).toBe('network_disallowed')
      expect(await whyNot(`https://${name}:${port}/`, wideOpen)).toBe('network_disallowed')
    }
    expect(connections).toBe(0)
  })

  test('behind a name that is outside when it is first looked up, and inside the next time', async () => {
    let asked = 0
    internet.dns.set('rebinding.test', (type) => {
      if (type !== 'A') return {}
      return { A: [asked++ === 0 ? WEB : '127.0.0.1'] }
    })
    await internet.add(WEB, 80, {
      certificate: [],
      handler: (_, response) => void response.setHeader('connection', 'close').end('outside'),
    })
    expect(await fetching.page('http://rebinding.test/')).toMatchObject({ text: 'outside' })
    await pause(50)
    expect(await whyNot('http://rebinding.test/')).toBe('network_disallowed')
    expect([asked, connections]).toEqual([2, 0])
  })

  test('over a connection that another homeserver, which may, has opened', async () => {
    internet.dns.set('ours.test', { A: ['10.9.9.9'] })
    const machine = await internet.add('10.9.9.9', 80, { certificate: [] })
    const rules = { disallowedNetworks: [] }
    expect(await fetching.page('http://ours.test/', rules)).toMatchObject({ status: 200 })
    expect(await whyNot('http://ours.test/')).toBe('network_disallowed')
    expect(await fetching.page('http://ours.test/', rules)).toMatchObject({ status: 200 })
    expect(machine.connections()).toBe(1)
  })

  test('nor does one over IPv6 where the lists allow IPv4 only, as in matrix-media-repo’s sample', async () => {
    internet.dns.set('six.test', { AAAA: ['2001:db8::80'] })
    const machine = await internet.add('2001:db8::80', 80, { certificate: [] })
    expect(await whyNot('http://six.test/', { allowedNetworks: ['0.0.0.0/0'] })).toBe('network_disallowed')
    expect(machine.connections()).toBe(0)
    expect(await fetching.page('http://six.test/')).toMatchObject({ status: 200 })
  })

  test('and is answered like one of what is not there', async () => {
    expect(await whyNot('http://198.51.100.1/')).toBe('unreachable')
    expect(await whyNot('http://nowhere.test/')).toBe('no_such_host')
  })

  test('and the log names the option', async () => {
    await whyNot('http://10.0.0.1/')
    expect(fetching.lines.at(-1)).toMatchObject({ why: '10.0.0.1: urlPreviews.disallowedNetworks has 10.0.0.0/8' })
  })
})
