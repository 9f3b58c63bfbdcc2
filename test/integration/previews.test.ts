import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ALICE, BOB, eventually, GUEST, heldClock, startApp, type TestApp } from '../support/app.ts'
import { LOOPBACK_ALLOWED, pageSaying, previewPath, startWebSite, type WebSite } from '../support/web-site.ts'

const HOUR_MS = 3_600_000
const MINUTE_MS = 60_000
const clock = heldClock()
let site: WebSite
let app: TestApp
beforeAll(async () => {
  site = await startWebSite()
  app = await startApp({ config: { urlPreviews: LOOPBACK_ALLOWED }, clock })
})
afterAll(async () => {
  await app[Symbol.asyncDispose]()
  await site[Symbol.asyncDispose]()
})

const ask = (path: string, headers: Readonly<Record<string, string>> = {}, more = '') =>
  app.ask(previewPath(site.urlOf(path)) + more, { token: ALICE.token, headers })

describe('A preview', () => {
  test('is flat Open Graph, with numbers for sizes and nothing that is empty', async () => {
    const png = await site.picture('/og.png', 640, 360)
    site.page('/og', pageSaying({ title: 'A title', site_name: '', image: site.urlOf('/og.png'), type: 'article' }))
    const { status, json, headers } = await ask('/og')
    expect(status).toBe(200)
    expect(json).toEqual({
      'og:title': 'A title',
      'og:type': 'article',
      'og:image': expect.stringMatching(/^mxc:\/\/example\.org\/\w+$/),
      'og:image:type': 'image/png',
      'og:image:width': 640,
      'og:image:height': 360,
      'matrix:image:size': png.length,
    })
    expect(headers['cache-control']).toBe('private, max-age=300')
    expect(headers['vary']).toBe('Accept-Language')
  })

  test('has its video and its sound', async () => {
    site.page('/video', pageSaying({ title: 'Film', video: 'https://example.com/f.mp4', 'video:width': '640' }))
    expect((await ask('/video')).json).toMatchObject({ 'og:video': 'https://example.com/f.mp4' })
  })

  test('is answered on every path that clients use', async () => {
    site.page('/paths', pageSaying({ title: 'Everywhere' }))
    const query = `?url=${encodeURIComponent(site.urlOf('/paths'))}`
    const versions = ['r0', 'v1', 'v3'].map((version) => `/_matrix/media/${version}/preview_url`)
    for (const path of ['/_matrix/client/v1/media/preview_url', ...versions]) {
      const { status, json } = await app.ask(path + query, { token: ALICE.token })
      expect([path, status, json]).toEqual([path, 200, { 'og:title': 'Everywhere' }])
    }
    expect(site.asked('/paths')).toBe(1)
  })

  test('of a page that says nothing is empty', async () => {
    site.page('/nothing', '<html></html>')
    expect(await ask('/nothing')).toMatchObject({ status: 200, json: {} })
    await ask('/nothing')
    expect(site.asked('/nothing'), 'that it says nothing is kept too').toBe(1)
  })

  test('has no picture where that cannot be had, or is none', async () => {
    site.page('/no-picture', pageSaying({ title: 'Plain', image: site.urlOf('/gone.png') }))
    expect((await ask('/no-picture')).json).toEqual({ 'og:title': 'Plain' })
    site.page('/fake.png', '<html>this is no picture</html>', { 'content-type': 'image/png' })
    site.page('/fake', pageSaying({ title: 'Fake', image: site.urlOf('/fake.png') }))
    expect((await ask('/fake')).json).toEqual({ 'og:title': 'Fake' })
  })

  test('is shortened as the options say', async () => {
    site.page('/long', pageSaying({ title: 'word '.repeat(100), description: 'x'.repeat(1000) }))
    const { json } = await ask('/long')
    expect(String(json['og:title']).split(' ')).toHaveLength(30)
    expect(String(json['og:description'])).toHaveLength(200)
  })
})

describe('Whoever asks for a preview', () => {
  test('has to be a user', async () => {
    const path = previewPath(site.urlOf('/whoever'))
    expect(await app.ask(path)).toMatchObject({ status: 401, json: { errcode: 'M_MISSING_TOKEN' } })
    const guest = await app.ask(path, { token: GUEST.token })
    expect(guest).toMatchObject({ status: 403, json: { errcode: 'M_GUEST_ACCESS_FORBIDDEN' } })
    expect(site.asked('/whoever')).toBe(0)
  })

  test('has to name an address of the web', async () => {
    const base = '/_matrix/client/v1/media/preview_url'
    const answers = async (query: string) => {
      const { status, json } = await app.ask(`${base}${query}`, { token: ALICE.token })
      return [status, json['errcode']]
    }
    expect(await answers('')).toEqual([400, 'M_MISSING_PARAM'])
    expect(await answers('?url=')).toEqual([400, 'M_MISSING_PARAM'])
    for (const url of ['nonsense', 'ftp://example.com/', 'data:text/html,x', 'file:///etc/passwd', 'http://']) {
      expect([url, ...(await answers(`?url=${encodeURIComponent(url)}`))]).toEqual([url, 400, 'M_INVALID_PARAM'])
    }
    const page = encodeURIComponent(site.urlOf('/whoever'))
    expect(await answers(`?url=${page}&ts=yesterday`)).toEqual([400, 'M_INVALID_PARAM'])
  })

  test('is told the same of every address that gives nothing', async () => {
    site.script('/broken', (response) => void response.destroy())
    const answers = [await ask('/missing'), await ask('/broken')]
    // A port at which nobody listens.
    answers.push(await app.ask(previewPath('http://127.0.0.1:1/'), { token: ALICE.token }))
    answers.push(await app.ask(previewPath('http://10.0.0.1/'), { token: ALICE.token }))
    const [first, ...others] = answers.map(({ status, body }) => `${status} ${String(body)}`)
    expect(first).toMatch(/^404 .*M_NOT_FOUND/)
    for (const other of others) expect(other).toBe(first)
  })

  test('is not sent along: neither fragment nor password', async () => {
    site.page('/private', pageSaying({ title: 'Private' }))
    const url = site.urlOf('/private').replace('//', '//user:secret@')
    expect(await app.ask(previewPath(`${url}#part`), { token: ALICE.token })).toMatchObject({ status: 200 })
    expect(site.asked('/private')).toBe(1)
    await ask('/private')
    expect(site.asked('/private'), 'and it is the same preview').toBe(1)
    expect(JSON.stringify(app.sql('SELECT * FROM previews'))).not.toContain('secret@')
  })
})

describe('Pages are fetched', () => {
  test('once for everybody who asks at the same time', async () => {
    const goOn = Promise.withResolvers<void>()
    site.script('/slow', async (response) => {
      await goOn.promise
      response.writeHead(200, { 'content-type': 'text/html' }).end(pageSaying({ title: 'Slow' }))
    })
    const asked = Array.from({ length: 20 }, () => ask('/slow'))
    await eventually(() => site.asked('/slow') > 0)
    await pause(200)
    goOn.resolve()
    for (const { json } of await Promise.all(asked)) expect(json).toEqual({ 'og:title': 'Slow' })
    expect(site.asked('/slow')).toBe(1)
  })

  test('once in an hour, also when the hour of the clock ends', async () => {
    clock.wait(HOUR_MS - (clock.now() % HOUR_MS) - MINUTE_MS)
    site.page('/hour', pageSaying({ title: 'Before' }))
    await ask('/hour')
    site.page('/hour', pageSaying({ title: 'After' }))
    clock.wait(5 * MINUTE_MS)
    expect((await ask('/hour')).json).toEqual({ 'og:title': 'Before' })
    clock.wait(56 * MINUTE_MS)
    expect((await ask('/hour')).json).toEqual({ 'og:title': 'After' })
    expect(site.asked('/hour')).toBe(2)
  })

  test('less often where their site says that they keep, but once a day', async () => {
    const headers = { 'cache-control': 'public, max-age=604800', age: '3600' }
    site.page('/keeps', pageSaying({ title: 'First' }), headers)
    await ask('/keeps')
    site.page('/keeps', pageSaying({ title: 'Second' }), headers)
    clock.wait(23 * HOUR_MS)
    expect((await ask('/keeps')).json).toEqual({ 'og:title': 'First' })
    clock.wait(HOUR_MS + MINUTE_MS)
    expect((await ask('/keeps')).json).toEqual({ 'og:title': 'Second' })
  })

  test('in the language of who asks, however that is written', async () => {
    site.script('/language', (response, { headers }) => {
      const title = headers['accept-language'] ?? 'none'
      response.writeHead(200, { 'content-type': 'text/html' }).end(pageSaying({ title }))
    })
    const inLanguage = async (language: string) =>
      (await ask('/language', { 'accept-language': language })).json['og:title']
    expect(await inLanguage('de-AT,de;q=0.8')).toBe('de-AT,de;q=0.9')
    expect(await inLanguage('DE-at, de ;q=0.3')).toBe('de-AT,de;q=0.9')
    expect((await ask('/language')).json['og:title']).toBe('en-US,en;q=0.9')
    expect(await inLanguage('%%%')).toBe('en-US,en;q=0.9')
    expect(site.asked('/language')).toBe(2)
  })

  test('again only minutes after they failed', async () => {
    expect((await ask('/later')).status).toBe(404)
    site.page('/later', pageSaying({ title: 'Later' }))
    expect((await ask('/later')).status).toBe(404)
    expect(site.asked('/later')).toBe(1)
    clock.wait(6 * MINUTE_MS)
    expect((await ask('/later')).json).toEqual({ 'og:title': 'Later' })
  })
})

describe('A preview for a time of the past', () => {
  test('is the stored one of then, else the next; the past is never fetched', async () => {
    site.page('/past', pageSaying({ title: 'Old' }))
    const old = clock.now()
    await ask('/past')
    clock.wait(5 * HOUR_MS)
    site.page('/past', pageSaying({ title: 'New' }))
    await ask('/past')
    const at = async (ts: number) => (await ask('/past', {}, `&ts=${ts}`)).json['og:title']
    expect(await at(old - 30 * HOUR_MS)).toBe('Old')
    expect(await at(old + 1000)).toBe('Old')
    expect(await at(old + 3 * HOUR_MS), 'the old one did not hold any more').toBe('New')
    expect(await at(clock.now())).toBe('New')
    expect(await at(clock.now() + 9 * HOUR_MS)).toBe('New')
    expect(site.asked('/past')).toBe(2)
  })

  test('is one of now where nobody has looked before', async () => {
    site.page('/unseen', pageSaying({ title: 'Now' }))
    expect((await ask('/unseen', {}, `&ts=${clock.now() - 99 * HOUR_MS}`)).json).toEqual({ 'og:title': 'Now' })
    await ask('/unseen')
    expect(site.asked('/unseen')).toBe(1)
  })
})

describe('Previews are not offered', () => {
  for (const [title, options] of [
    ['where they are switched off', { enabled: false }],
    ['where nothing of a page may be read', { maxPageSizeBytes: 0 }],
    ['without networks', { allowedNetworks: [], disallowedNetworks: [] }],
  ] as const) {
    test(title, async () => {
      await using off = await startApp({ config: { urlPreviews: { ...LOOPBACK_ALLOWED, ...options } } })
      const answer = await off.ask(previewPath(site.urlOf('/off')), { token: BOB.token })
      expect(answer).toMatchObject({ status: 404, json: { errcode: 'M_UNRECOGNIZED' } })
      expect(site.asked('/off')).toBe(0)
    })
  }

  test('for addresses that are forbidden since they were made', async () => {
    site.page('/forbidden', pageSaying({ title: 'Forbidden' }))
    await using other = await startApp({ config: { urlPreviews: LOOPBACK_ALLOWED } })
    const path = previewPath(site.urlOf('/forbidden'))
    expect(await other.ask(path, { token: ALICE.token })).toMatchObject({ status: 200 })
    await other.ask(path, { token: ALICE.token })
    await other.reload({ urlPreviews: { ...LOOPBACK_ALLOWED, disallowedUrls: ['127.0.0.1/forb*'] } })
    expect(await other.ask(path, { token: ALICE.token })).toMatchObject({ status: 404 })
  })
})
