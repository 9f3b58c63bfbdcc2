import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CallerGone } from '../../src/lib/errors.ts'
import { fetchSource, hasPreviews, languageFor, pageAddress } from '../../src/previews/fetch.ts'
import { NoPreview } from '../../src/previews/no-preview.ts'
import { openPreviewFetching, type PreviewFetching, type UrlPreviews } from '../support/preview-fetching.ts'
import { describeWith } from '../support/services.ts'
import { type Handler, type SmallInternet, startSmallInternet } from '../support/small-internet.ts'

const WEB = '203.0.113.80'
const stays = new AbortController().signal

/** What answers over plain HTTP, by name. */
const sites = new Map<string, Handler>()
let internet: SmallInternet
let fetching: PreviewFetching

const html = 'text/html; charset=utf-8'
const answering =
  (status: number, headers: Readonly<Record<string, string>>, body: string | Buffer = ''): Handler =>
  (_, response) =>
    void response.writeHead(status, headers).end(body)
const okay = (body: string | Buffer, headers: Readonly<Record<string, string>> = {}) =>
  answering(200, { 'content-type': html, 'content-length': String(body.length), ...headers }, body)

/** Puts a site at a name, over plain HTTP. */
function site(name: string, handler: Handler): void {
  internet.dns.set(name, { A: [WEB] })
  sites.set(name, handler)
}

/** Puts one there over TLS. */
async function secureSite(name: string, handler: Handler, { certificate = name, strange = false } = {}): Promise<void> {
  internet.dns.set(name, { A: [WEB] })
  await internet.add(WEB, 443, { certificate: [certificate], handler, strange })
}

async function whyNot(url: string, changes: Partial<UrlPreviews> = {}, seconds?: number): Promise<string> {
  const wish = seconds === undefined ? {} : { seconds }
  const error: unknown = await fetching.page(url, changes, wish).then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!(error instanceof NoPreview)) throw new Error(`${url} was fetched, or failed otherwise`, { cause: error })
  return error.why
}

const endless: Handler = (_, response) => {
  response.setHeader('content-type', html).on('error', () => {})
  const more = () => void (response.write('x'.repeat(10_000)) ? setImmediate(more) : response.once('drain', more))
  more()
}

describeWith('openssl', 'A page that is to be previewed', () => {
  beforeAll(async () => {
    internet = await startSmallInternet()
    fetching = openPreviewFetching(internet)
    await internet.add(WEB, 80, {
      certificate: [],
      handler: (request, response) => sites.get((request.headers.host ?? '').replace(/\.$/, ''))?.(request, response),
    })
  })
  afterAll(async () => {
    await fetching[Symbol.asyncDispose]()
    await internet[Symbol.asyncDispose]()
  })

  test('is asked for as a bot that reads pages, in the language of whoever wants it', async () => {
    site('asked.test', okay('Hello'))
    expect(await fetching.page('http://asked.test/a?b=c#d', {}, { language: 'fr,de;q=0.5' })).toEqual({
      status: 200,
      url: 'http://asked.test/a?b=c',
      contentType: 'text/html',
      charset: 'utf-8',
      length: 5,
      text: 'Hello',
    })
    expect(internet.requests.at(-1)).toMatchObject({
      host: 'asked.test',
      path: '/a?b=c',
      headers: {
        'accept-language': 'fr,de;q=0.5',
        'user-agent': 'Cellarium (test)',
        accept: expect.stringMatching(/^text\/html/),
        'accept-encoding': 'gzip, deflate, br, zstd',
      },
    })
    await fetching.page('http://asked.test/', {}, { accept: 'application/json' })
    expect(internet.requests.at(-1)?.headers).toMatchObject({ accept: 'application/json' })
  })

  test('is never sent what stands before the @ of an address, nor told of it', async () => {
    site('user.test', (request, response) =>
      request.url === '/'
        ? okay('in')(request, response)
        : answering(302, { location: 'http://a:b@user.test/' })(request, response),
    )
    for (const path of ['', 'moved']) {
      const page = await fetching.page(`http://user:secret@user.test/${path}`)
      expect(page.url).toBe('http://user.test/')
      expect(Object.keys(internet.requests.at(-1)?.headers ?? {})).not.toContain('authorization')
    }
    const address = new URL('http://user:secret@user.test/#part')
    await using source = await fetchSource(fetching.parts, fetching.options(), address, {
      language: 'en',
      signal: stays,
    })
    expect(source.asked.href).toBe('http://user.test/')
  })

  test.each([
    ['text/html', 'text/html', undefined],
    ['TEXT/HTML ;charset="Shift_JIS"; x=y', 'text/html', 'Shift_JIS'],
    ['text/html;charset= windows-1252', 'text/html', 'windows-1252'],
    ['image/png', 'image/png', undefined],
    ['', '', undefined],
  ])('has the type and charset that its header says (%j)', async (header, contentType, charset) => {
    site('typed.test', okay('x', { 'content-type': header }))
    expect(await fetching.page('http://typed.test/')).toMatchObject({ contentType, charset })
  })

  test('is followed where it redirects to, ten times, and there also by plain HTTP', async () => {
    await secureSite('secure.test', answering(302, { location: 'http://hops.test/9' }))
    site('hops.test', ({ url = '' }, response) => {
      const left = Number(url.slice(1))
      if (left === 0) response.setHeader('content-type', html).end('there')
      else response.writeHead(301, { location: String(left - 1) }).end()
    })
    expect(await fetching.page('http://hops.test/10')).toMatchObject({ url: 'http://hops.test/0', text: 'there' })
    expect(await whyNot('http://hops.test/11')).toBe('redirects')
    expect(await fetching.page('https://secure.test/')).toMatchObject({ url: 'http://hops.test/0', text: 'there' })
    site(
      'circle.test',
      ({ url }, response) => void response.writeHead(302, { location: url === '/a' ? 'b' : 'a' }).end(),
    )
    expect(await whyNot('http://circle.test/a')).toBe('redirects')
    for (const location of ['file:///etc/passwd', 'gopher://hops.test/', 'data:text/html,a', 'http://[']) {
      site('odd.test', answering(302, { location }))
      expect(await whyNot('http://odd.test/')).toBe('redirects')
    }
  })

  test('is not asked for where disallowedUrls forbids it, nor where a redirect leads there', async () => {
    const disallowedUrls = ['*.forbidden.test', 'half.test/private/*']
    site('a.forbidden.test', okay('never'))
    site('half.test', okay('some'))
    const before = internet.requests.length
    expect(await whyNot('http://a.forbidden.test/', { disallowedUrls })).toBe('url_disallowed')
    expect(await whyNot('http://half.test/%70rivate/a', { disallowedUrls })).toBe('url_disallowed')
    expect(internet.requests).toHaveLength(before)
    expect(await fetching.page('http://half.test/', { disallowedUrls })).toMatchObject({ text: 'some' })
    for (const location of ['http://A.FORBIDDEN.test./', '//half.test//private/a']) {
      site('leading.test', answering(302, { location }))
      expect(await whyNot('http://leading.test/', { disallowedUrls })).toBe('url_disallowed')
    }
    expect(internet.requests.map(({ host }) => host)).not.toContain('a.forbidden.test')
    expect(await fetching.page('http://a.forbidden.test/')).toMatchObject({ text: 'never' })
  })

  test.each([204, 206, 304, 404, 410, 500, 502])('is none with the status %i', async (status) => {
    site('none.test', answering(status, { 'content-type': html }))
    expect(await whyNot('http://none.test/')).toBe('status')
  })

  test.each([401, 402, 403, 406, 451])(
    'that wants something first (%i) is given with its status, if it is a page',
    async (status) => {
      site('wall.test', answering(status, { 'content-type': html }, 'consent'))
      expect(await fetching.page('http://wall.test/')).toMatchObject({ status, text: 'consent' })
      site('wall.test', answering(status, { 'content-type': 'application/json' }, '{}'))
      expect(await whyNot('http://wall.test/')).toBe('status')
    },
  )

  test('is cut at maxPageSizeBytes, and its site is hung up on', async () => {
    const closed = Promise.withResolvers<void>()
    site('endless.test', (request, response) => {
      response.on('close', () => closed.resolve())
      endless(request, response)
    })
    const page = await fetching.page('http://endless.test/', { maxPageSizeBytes: 12_345 })
    expect(page.text).toHaveLength(12_345)
    await closed.promise
    site('long.test', okay('x'.repeat(50_000)))
    expect(await fetching.page('http://long.test/')).toMatchObject({ length: 50_000, text: 'x'.repeat(10_000) })
  })

  test('may be compressed; then its length is not known', async () => {
    const text = 'A page that says the same again and again. '.repeat(1000)
    site('packed.test', okay(gzipSync(text), { 'content-encoding': 'gzip' }))
    const page = await fetching.page('http://packed.test/')
    expect(page).toMatchObject({ length: undefined, text: text.slice(0, 10_000) })
    site('strange.test', okay('x', { 'content-encoding': 'sdch' }))
    expect(await whyNot('http://strange.test/')).toBe('broken')
  })

  test('that does not answer in time is none', async () => {
    site('mute.test', () => {})
    expect(await whyNot('http://mute.test/', {}, 0.3)).toBe('timed_out')
  })

  test('that answers and then is slow, or breaks off, is given as far as it came', async () => {
    site('stalling.test', (_, response) => void response.setHeader('content-type', html).write('<title>Some'))
    expect(await fetching.page('http://stalling.test/', {}, { seconds: 2 })).toMatchObject({ text: '<title>Some' })
    site('dripping.test', (_, response) => {
      const drip = setInterval(() => response.write('.'), 20)
      response.setHeader('content-type', html).on('close', () => clearInterval(drip))
    })
    expect((await fetching.page('http://dripping.test/', {}, { seconds: 2 })).text).toMatch(/^\.+$/)
    site('breaking.test', (_, response) => {
      response.writeHead(200, { 'content-type': html, 'content-length': '1000' })
      response.write('half', () => response.destroy())
    })
    expect(await fetching.page('http://breaking.test/')).toMatchObject({ text: 'half' })
  })

  test('that nobody reads is let go of when its time is over, and with it the turn at its site', async () => {
    site('unread.test', endless)
    const wish = { language: 'en', signal: stays }
    const unread = () => fetchSource(fetching.parts, fetching.options({}, 2), new URL('http://unread.test/'), wish)
    await Promise.all([unread(), unread(), unread(), unread()])
    expect(await fetching.page('http://unread.test/')).toMatchObject({ text: 'x'.repeat(10_000) })
  })

  test('is given up when whoever wanted it has left, before it answers and while it is read', async () => {
    site('mute.test', () => {})
    const early = AbortSignal.timeout(200)
    const given = fetching.page('http://mute.test/', {}, { signal: early })
    await expect(given).rejects.toThrow('aborted due to timeout')
    const left = new AbortController()
    site('left.test', (_, response) => {
      response.setHeader('content-type', html).write('x', () => left.abort(new CallerGone('gone')))
    })
    await expect(fetching.page('http://left.test/', {}, { signal: left.signal })).rejects.toThrow(/gone|abort/i)
  })

  test.each([
    ['another name', { certificate: 'another.test' }],
    ['an unknown authority', { certificate: 'certified.test', strange: true }],
  ])('with a certificate of %s is previewed only where the options say so', async (_, how) => {
    await secureSite('certified.test', okay('insecure'), how)
    expect(await whyNot('https://certified.test/')).toBe('untrusted')
    const page = await fetching.page('https://certified.test/', { previewUnsafeCertificates: true })
    expect(page).toMatchObject({ text: 'insecure' })
    // Not over the connection of who may.
    expect(await whyNot('https://certified.test/')).toBe('untrusted')
  })

  test('may send headers of 40 KiB', async () => {
    site('headers.test', okay('x', { 'content-security-policy': 'x'.repeat(40_000) }))
    expect(await fetching.page('http://headers.test/')).toMatchObject({ text: 'x' })
    site('headers.test', okay('x', { 'content-security-policy': 'x'.repeat(80_000) }))
    expect(await whyNot('http://headers.test/')).toBe('broken')
  })

  test('is not asked for while its site wants to be left alone', async () => {
    site('busy.test', answering(429, { 'retry-after': '120', 'content-type': html }))
    expect(await whyNot('http://busy.test/')).toBe('status')
    const before = internet.requests.length
    expect(await whyNot('http://busy.test:80/other')).toBe('left_alone')
    expect(internet.requests).toHaveLength(before)
    site('busy.test', okay('back'))
    internet.clock.wait(121_000)
    expect(await fetching.page('http://busy.test/')).toMatchObject({ text: 'back' })
    site('down.test', answering(503, { 'retry-after': '10' }))
    expect([await whyNot('http://down.test/'), await whyNot('http://down.test/')]).toEqual(['status', 'left_alone'])
    site('broken.test', answering(503, {}))
    expect([await whyNot('http://broken.test/'), await whyNot('http://broken.test/')]).toEqual(['status', 'status'])
  })

  test('shares its site with three others at most; the turn is over when it was read', async () => {
    let [now, most] = [0, 0]
    site('popular.test', (_, response) => {
      most = Math.max(most, ++now)
      setTimeout(() => {
        now--
        response.setHeader('content-type', html).end('served')
      }, 30)
    })
    const pages = Array.from({ length: 20 }, (_, index) => fetching.page(`http://popular.test/${index}`))
    expect((await Promise.all(pages)).map(({ text }) => text)).toEqual(Array.from({ length: 20 }, () => 'served'))
    expect(most).toBe(4)
  })
})

describe('An address', () => {
  test.each([
    '',
    'example.org',
    'ftp://example.org/',
    'file:///etc/passwd',
    'data:text/html,a',
    'http://[',
    'http://',
    'javascript:alert(1)',
  ])('like %j is refused', (text) => {
    expect(() => pageAddress(text)).toThrow('has to be an address that begins with http:// or https://')
  })

  test('is read as browsers read it', () => {
    expect(pageAddress('HTTP://Bücher.Example:80/ä#b').href).toBe('http://xn--bcher-kva.example/%C3%A4#b')
  })
})

test.each([
  ['fr-CH, fr;q=0.9, *;q=0.5', 'fr-CH, fr;q=0.9, *;q=0.5'],
  [undefined, 'en-US,en'],
  [' ', 'en-US,en'],
  ['fr\r\nX-Evil: yes', 'en-US,en'],
  ['f'.repeat(500), 'en-US,en'],
])('A client that wants %j gets pages in %j', (header, language) => {
  expect(languageFor(header, { defaultLanguage: 'en-US,en' })).toBe(language)
})

test.each([
  [{}, true],
  [{ enabled: false }, false],
  [{ maxPageSizeBytes: 0 }, false],
  [{ allowedNetworks: [], disallowedNetworks: [] }, false],
  [{ allowedNetworks: [] }, false],
  [{ disallowedNetworks: [] }, true],
])('With %j there are previews: %j', (changes, has) => {
  const usual = { enabled: true, maxPageSizeBytes: 1, allowedNetworks: ['0.0.0.0/0'], disallowedNetworks: ['::/0'] }
  expect(hasPreviews({ ...usual, ...changes })).toBe(has)
})
