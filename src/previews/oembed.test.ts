import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { sourceOf } from '../../test/support/preview-source.ts'
import { askOEmbed } from './oembed.ts'

const ENDPOINT = new URL('https://provider.example/oembed?url=x')

const ask = async (body: string | Uint8Array, said: Parameters<typeof sourceOf>[1] = {}) =>
  await askOEmbed(async (url) => sourceOf(body, { contentType: 'application/json', ...said, url: url.href }), ENDPOINT)
const answer = async (fields: object, said: Parameters<typeof sourceOf>[1] = {}) =>
  await ask(JSON.stringify({ version: '1.0', ...fields }), said)
const draft = async (fields: object) => (await answer(fields)).draft

describe('An oEmbed answer', () => {
  test('that is a link gives title, site and picture', async () => {
    const fields = { type: 'link', title: 'Tom &amp; Jerry &#39;s\n day', provider_name: 'Cats', author_name: 'Ann' }
    const thumbnail = { thumbnail_url: 'https://i.example/1.png', thumbnail_width: 480, thumbnail_height: '360' }
    expect(await draft({ ...fields, ...thumbnail })).toEqual({
      title: "Tom & Jerry 's day",
      siteName: 'Cats',
      pictures: [{ url: new URL('https://i.example/1.png'), width: 480, height: 360 }],
    })
  })

  test('without a title has the name of who wrote it', async () => {
    expect(await draft({ type: 'rich', author_name: 'Ann' })).toEqual({ title: 'Ann' })
  })

  test('that is rich gives the text of its HTML and the pictures in it, and runs nothing', async () => {
    const html =
      '<blockquote class=x><p>Hello &amp; <b>wel</b>come</p><img src="//i.example/a.jpg" width=300 height=200>' +
      '<img src="https://count.example/1.gif" width=1 height=1><img src="/relative.png"></blockquote>&mdash; Ann' +
      '<script async src="https://p.example/w.js">alert("no")</script><style>p{}</style>'
    expect(await draft({ type: 'rich', title: 'T', html })).toEqual({
      title: 'T',
      description: 'Hello & welcome — Ann',
      pictures: [{ url: new URL('https://i.example/a.jpg'), width: 300, height: 200 }],
    })
  })

  test('that is a photo has the photo before its thumbnail', async () => {
    const photo = { url: 'https://i.example/big.jpg', width: 1024, height: 683 }
    const { pictures } = await draft({ type: 'photo', ...photo, thumbnail_url: 'http://i.example/small.jpg' })
    expect(pictures?.map(({ url, width }) => [url.href, width])).toEqual([
      ['https://i.example/big.jpg', 1024],
      ['http://i.example/small.jpg', undefined],
    ])
  })

  test('that is a film says where to watch it', async () => {
    const html = '<iframe width="200" src="https://p.example/embed/1?a=1&amp;b=2" allowfullscreen>none</iframe>'
    const { type, description, more } = await draft({ type: 'video', title: 'T', width: 1200, height: '675', html })
    expect([type, description]).toEqual(['video.other', undefined])
    expect(Object.fromEntries(more ?? [])).toEqual({
      'og:video': 'https://p.example/embed/1?a=1&b=2',
      'og:video:type': 'text/html',
      'og:video:width': 1200,
      'og:video:height': 675,
    })
  })

  test('of a film in a video element names the file and its type', async () => {
    const html = '<video controls><source src="https://p.example/1.mp4" type="video/mp4"></video>'
    const { more } = await draft({ type: 'video', title: 'T', html })
    expect(Object.fromEntries(more ?? [])).toEqual({
      'og:video': 'https://p.example/1.mp4',
      'og:video:type': 'video/mp4',
    })
  })

  test.each([
    ['javascript:alert(1)'],
    ['data:image/png;base64,AAAA'],
    ['file:///etc/passwd'],
    ['/relative.png'],
    ['ftp://i.example/1.png'],
    ['https://user:secret@i.example/1.png'],
    ['https://user@i.example/1.png'],
    [{ url: 'https://i.example/1.png' }],
    [12],
  ])('with the address %j has no picture', async (address) => {
    const html = `<iframe src=${JSON.stringify(address)}></iframe>`
    expect(await draft({ type: 'video', title: 'T', thumbnail_url: address, url: address, html })).toEqual({
      title: 'T',
      type: 'video.other',
    })
    expect(await draft({ type: 'photo', title: 'T', url: address })).toEqual({ title: 'T' })
  })

  test('is passed over where it is of the wrong type', async () => {
    const wrong = { title: 3, author_name: ['x'], provider_name: {}, thumbnail_width: 'wide', thumbnail_height: -4 }
    expect(await draft({ type: 'link', ...wrong, thumbnail_url: 'https://i.example/1.png' })).toEqual({
      pictures: [{ url: new URL('https://i.example/1.png') }],
    })
  })
})

describe('The form of an oEmbed answer', () => {
  test.each([
    [3600, 3_600_000],
    ['3600', 3_600_000],
    [' 60 ', 60_000],
    [0, 0],
    ['soon', undefined],
    [-1, undefined],
    [null, undefined],
    [{}, undefined],
  ])('of cache_age %j holds for %j ms', async (age, expected) => {
    expect((await answer({ type: 'link', title: 'T', cache_age: age })).freshMs).toBe(expected)
  })

  test.each(['1.0', '1', 1, 1.0, null])('may be of version %j', async (version) => {
    expect(await draft({ version, title: 'T' })).toEqual({ title: 'T' })
  })

  test('may leave its version out', async () => {
    expect((await ask('{"title":"T"}')).draft).toEqual({ title: 'T' })
  })

  test.each(['2.0', 2, '1.1', {}, 'x'])('must not be of version %j', async (version) => {
    await expect(draft({ version, title: 'T' })).rejects.toThrow(/version .*only 1\.0 is known/)
  })

  test.each(['application/json', 'application/json+oembed', 'text/javascript', 'text/plain', ''])(
    'may be sent as %j',
    async (contentType) => {
      expect((await answer({ title: 'T' }, { contentType })).draft).toEqual({ title: 'T' })
    },
  )

  test.each(['text/html', 'image/png', 'application/octet-stream'])('must not be sent as %s', async (contentType) => {
    await expect(answer({ title: 'T' }, { contentType })).rejects.toThrow(`oEmbed is JSON or XML, not ${contentType}`)
  })

  test.each([
    ['[]', 'no JSON object'],
    ['"x"', 'no JSON object'],
    ['null', 'no JSON object'],
    ['', 'no JSON'],
    ['{"title":"T"', 'no JSON'],
    ['<html>Not found</html>', 'no JSON'],
    ['{"version":"1.0","type":"rich","html":""}', 'without anything to show'],
    ['{"version":"1.0","type":"video","provider_name":"P","title":" "}', 'without anything to show'],
  ])('must not be %s', async (body, reason) => {
    await expect(ask(body)).rejects.toThrow(reason)
  })

  test('may be XML', async () => {
    const xml =
      '<?xml version="1.0" encoding="iso-8859-1"?>\n<oembed><version>1.0</version><type>photo</type>\n' +
      '<title><![CDATA[Caf\u00e9 & bar]]></title><provider_name><![CDATA[A<B]]></provider_name>' +
      '<url>https://i.example/1.jpg?a=1&amp;b=2</url><width>240</width><deep><title>no</title></deep></oembed>'
    const { draft: found } = await ask(Buffer.from(xml, 'latin1'), { contentType: 'text/xml' })
    expect(found).toEqual({
      title: 'Café & bar',
      siteName: 'A<B',
      pictures: [{ url: new URL('https://i.example/1.jpg?a=1&b=2'), width: 240 }],
    })
    await expect(ask('<html><title>x</title></html>', { contentType: 'application/xml' })).rejects.toThrow('<oembed>')
  })

  test('of more than 256 KiB is not read to its end', async () => {
    const source = sourceOf(JSON.stringify({ title: 'x'.repeat(10_000_000) }), { contentType: 'application/json' })
    let read = 0
    source.body.on('data', (piece: Buffer) => (read += piece.length))
    await expect(askOEmbed(async () => source, ENDPOINT)).rejects.toThrow('oEmbed of more than 262144 bytes')
    expect(read).toBeLessThan(1_000_000)
  })

  test('that cannot be had fails as the fetching did', async () => {
    const failing = askOEmbed(async () => await Promise.reject(new Error('refused')), ENDPOINT)
    await expect(failing).rejects.toThrow('refused')
  })

  test('of any shape gives a draft or is refused, with addresses on the web only', async () => {
    const hostile = fc.constantFrom(
      'javascript:x',
      'file:///x',
      '//h/x',
      'https://h/x',
      'http:\\\\h',
      'data:,x',
      '<img src="file:x">',
    )
    const value = fc.oneof(fc.jsonValue(), hostile)
    const fields = fc.dictionary(
      fc.constantFrom('title', 'html', 'url', 'thumbnail_url', 'thumbnail_width', 'author_name', 'cache_age', 'width'),
      value,
    )
    await fc.assert(
      fc.asyncProperty(fields, fc.constantFrom('photo', 'video', 'rich', 'link', 7), async (given, type) => {
        const found = await answer({ ...given, type }).catch((error: Error) => error)
        if (found instanceof Error) {
          expect(found.name).toBe('UnusableAnswer')
          return
        }
        for (const { url } of found.draft.pictures ?? []) expect(url.protocol).toMatch(/^https?:$/)
        const player = found.draft.more?.get('og:video')
        if (player !== undefined) expect(player).toMatch(/^https?:/)
      }),
    )
  })
})
