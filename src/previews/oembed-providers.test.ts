import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { temporaryFolder } from '../../test/support/folder.ts'
import { OEmbedProviders } from './oembed-providers.ts'

const silent = { error: () => {} }
const ask = async (address: string, providers = new OEmbedProviders(silent)) =>
  await providers.endpointFor('', new URL(address))

const listOf = (url: string, ...schemes: string[]) =>
  JSON.stringify([
    { provider_name: 'P', provider_url: 'https://p.example/', endpoints: [{ url, schemes, discovery: true }] },
  ])

describe('The list of oembed.com', () => {
  test.each([
    ['https://www.youtube.com/watch?v=abc&t=1', 'https://www.youtube.com/oembed'],
    ['http://youtube.com/watch?v=abc', 'https://www.youtube.com/oembed'],
    ['https://youtu.be/abc', 'https://www.youtube.com/oembed'],
    ['https://vimeo.com/76979871', 'https://vimeo.com/api/oembed.json'],
    ['https://twitter.com/jack/status/20', 'https://publish.twitter.com/oembed'],
    ['https://live.staticflickr.flickr.com/a/b', 'https://www.flickr.com/services/oembed/'],
    ['https://www.kickstarter.com/projects/a/b', 'https://www.kickstarter.com/services/oembed'],
    ['https://open.spotify.com/track/1', 'https://open.spotify.com/oembed'],
  ])('knows %s', async (address, expected) => {
    const endpoint = await ask(address)
    expect(`${endpoint?.origin}${endpoint?.pathname}`).toBe(expected)
    expect(endpoint?.searchParams.get('url')).toBe(address)
  })

  test.each([
    'https://www.youtube.com/',
    'https://example.org/watch?v=abc',
    'https://notyoutube.com/watch?v=abc',
    'https://youtube.com.example.org/watch?v=abc',
    'https://127.0.0.1/watch?v=abc',
    'https://youtube.com:8443/watch?v=abc',
  ])('does not know %s', async (address) => {
    expect(await ask(address)).toBeUndefined()
  })

  test('says how large a photo may be, and which form is wanted where the address does not', async () => {
    const flickr = await ask('https://www.flickr.com/photos/a/1/')
    expect(Object.fromEntries(flickr?.searchParams ?? [])).toEqual({
      url: 'https://www.flickr.com/photos/a/1/',
      maxwidth: '1200',
      maxheight: '1200',
      format: 'json',
    })
    expect((await ask('https://vimeo.com/76979871'))?.searchParams.has('format')).toBe(false)
  })

  test('is compared with an address faster than anybody could notice', async () => {
    const providers = new OEmbedProviders(silent)
    await ask('https://example.org/', providers)
    const began = performance.now()
    for (let count = 0; count < 20_000; count++)
      await ask(`https://www.example${count}.org/a/b/c?d=${count}`, providers)
    expect(performance.now() - began).toBeLessThan(10_000)
  })
})

describe('A list of an administrator', () => {
  test('takes the place of the official one, and is asked as it is written', async () => {
    await using folder = await temporaryFolder({
      'p.json': listOf('http://10.0.0.1:81/o.{format}?k=1', 'http://wiki/*'),
    })
    const providers = new OEmbedProviders(silent)
    const file = join(folder.path, 'p.json')
    expect((await providers.endpointFor(file, new URL('http://wiki/Page')))?.href).toBe(
      'http://10.0.0.1:81/o.json?k=1&url=http%3A%2F%2Fwiki%2FPage&maxwidth=1200&maxheight=1200',
    )
    expect(await providers.endpointFor(file, new URL('https://youtu.be/abc'))).toBeUndefined()
  })

  test('is read again when it has changed, and counts as it was while it cannot be used', async () => {
    await using folder = await temporaryFolder({ 'p.json': listOf('https://one.example/o', 'https://wiki/*') })
    const file = join(folder.path, 'p.json')
    const lines: unknown[] = []
    const providers = new OEmbedProviders({ error: (...line: unknown[]) => void lines.push(line) })
    const host = async () => (await providers.endpointFor(file, new URL('https://wiki/Page')))?.hostname
    expect(await host()).toBe('one.example')

    await writeFile(file, '{ not JSON')
    expect([await host(), await host()]).toEqual(['one.example', 'one.example'])
    expect(lines).toHaveLength(1)

    await rm(file)
    expect(await host()).toBe('one.example')
    expect(lines).toHaveLength(2)

    await writeFile(file, listOf('https://another.example/o', 'https://wiki/*'))
    expect(await host()).toBe('another.example')
    expect(lines).toHaveLength(2)
  })

  test('that was never usable knows nobody', async () => {
    const providers = new OEmbedProviders(silent)
    expect(await providers.endpointFor('/nowhere/p.json', new URL('https://youtu.be/abc'))).toBeUndefined()
  })

  test('prefers the very host, then the longer name, then what comes first', async () => {
    const list = [
      { endpoints: [{ url: 'https://any.example/', schemes: ['https://*.example.org/*'] }] },
      {
        endpoints: [
          { url: 'https://first.example/', schemes: ['https://a.example.org/x*', 'https://*.b.example.org/*'] },
        ],
      },
      { endpoints: [{ url: 'https://second.example/', schemes: ['https://a.example.org/*'] }] },
    ]
    await using folder = await temporaryFolder({ 'p.json': JSON.stringify(list) })
    const providers = new OEmbedProviders(silent)
    const host = async (address: string) =>
      (await providers.endpointFor(join(folder.path, 'p.json'), new URL(address)))?.hostname
    expect(await host('https://a.example.org/xy')).toBe('first.example')
    expect(await host('https://a.example.org/y')).toBe('second.example')
    expect(await host('https://c.b.example.org/y')).toBe('first.example')
    expect(await host('https://c.example.org/y')).toBe('any.example')
    // A scheme without a star in its host is of that host alone.
    expect(await host('https://d.a.example.org/y')).toBe('any.example')
  })
})
