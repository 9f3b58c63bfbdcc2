/** Media that are opened in a browser: pictures, films and texts are shown, and nothing that was uploaded ever runs. */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ALICE, startApp, type TestApp } from '../support/app.ts'
import { drawnPictures, goTo, startBrowser, type TestBrowser } from '../support/browser.ts'
import { film } from '../support/films.ts'
import { noise } from '../support/images.ts'
import { describeWith } from '../support/services.ts'

const ADMIN = { token: 'syt_admin_Ag5h', userId: '@admin:example.org', admin: true }
const SCRIPT = `console.log('ran');document.title='ran'`
const HTML = `<!DOCTYPE html><title>harmless</title><script>${SCRIPT}</script><img src="x" onerror="${SCRIPT}">`
const SVG = `<svg xmlns="http://www.w3.org/2000/svg" width="64" height="48" onload="${SCRIPT}"><script>${SCRIPT}</script><rect width="64" height="48" fill="red"/></svg>`
const XHTML = `<html xmlns="http://www.w3.org/1999/xhtml"><head><script>${SCRIPT}</script></head><body/></html>`

/** What somebody might upload so that it runs at whoever opens it: what it is, and what it says it is. */
const HOSTILE: readonly (readonly [string, string])[] = [
  [HTML, 'text/html'],
  [SVG, 'image/svg+xml'],
  [XHTML, 'application/xhtml+xml'],
  [XHTML, 'text/xml'],
  // What is shown in place, and might be taken for what it is.
  [HTML, 'text/plain'],
  [HTML, 'application/json'],
  [HTML, 'image/png'],
  [SVG, 'image/jpeg'],
  [HTML, 'video/mp4'],
  [HTML, 'text/plain, text/html'],
]

const addressOf = (media: string) => `http://example.org/_matrix/media/v3/download/${media}?access_token=${ALICE.token}`
const thumbnailOf = (media: string) =>
  `http://example.org/_matrix/media/v3/thumbnail/${media}?width=32&height=32&access_token=${ALICE.token}`

describeWith(['browser', 'ffmpeg'], 'Media that are opened by their address', () => {
  let app: TestApp
  let browser: TestBrowser
  /** A client's, on another host. */
  let client: Server
  let clientPage = ''
  beforeAll(async () => {
    const config = {
      admins: [ADMIN.userId],
      thumbnails: { types: ['image/png', 'image/svg+xml'] },
      quarantine: { replaceThumbnails: true, replaceDownloads: true },
    }
    app = await startApp({ config })
    app.homeserver.addUser(ADMIN)
    client = await servePage(() => clientPage)
    const { port } = client.address() as AddressInfo
    browser = await startBrowser({ 'example.org': app.port, 'client.example': port })
  })
  afterAll(async () => {
    await browser?.[Symbol.asyncDispose]()
    await client?.[Symbol.asyncDispose]()
    await app?.[Symbol.asyncDispose]()
  })

  const POLICY = ['content-security-policy', 'x-content-security-policy']

  /** Opens files whose answers have lost these headers on their way, one after the other; gives what became of each. */
  async function* openWithout(removed: readonly string[], files: readonly (readonly [string, string])[]) {
    await using visit = await browser.open()
    const { page, said } = visit
    if (removed.length > 0) {
      await page.route('**/*', async (route) => {
        const { pathname, search } = new URL(route.request().url())
        const { status, headers, body } = await app.ask(pathname + search)
        const left = Object.entries(headers).filter(([name]) => !removed.includes(name))
        await route.fulfill({ status, headers: Object.fromEntries(left) as Record<string, string>, body })
      })
    }
    for (const [body, type] of files) {
      await page.goto('about:blank')
      const before = said.length
      const became = await goTo(page, addressOf(await app.upload(body, { type, name: 'file' })))
      const hasRun = (await page.title()) === 'ran' || said.length > before
      yield { type, became, hasRun }
    }
  }

  test('nothing runs, even where a proxy has lost one of the headers that prevent it', async () => {
    for (const removed of [[], ['content-disposition'], POLICY]) {
      for await (const { type, hasRun } of openWithout(removed, HOSTILE)) {
        expect([type, removed, hasRun]).toEqual([type, removed, false])
      }
    }
  })

  test('pages and drawings that have scripts would run without these headers, and are saved to a file', async () => {
    const running = HOSTILE.slice(0, 4)
    for await (const { type, became } of openWithout([], running)) expect([type, became]).toEqual([type, 'downloaded'])
    for await (const { type, hasRun } of openWithout(['content-disposition', ...POLICY], running)) {
      expect([type, hasRun]).toEqual([type, true])
    }
  })

  test('pictures, films, recordings and texts are shown', async () => {
    const picture = await noise({ width: 60, height: 40 }).png().toBuffer()
    await using visit = await browser.open()
    const { page } = visit
    await page.goto(addressOf(await app.upload(picture, { type: 'image/png', name: '日本.png' })))
    expect(await drawnPictures(page)).toEqual([{ width: 60, height: 40, isSeen: true }])
    await page.goto(thumbnailOf(await app.upload(SVG, { type: 'image/svg+xml' })))
    expect(await drawnPictures(page), 'a drawing, as a thumbnail').toMatchObject([{ width: 32, height: 24 }])
    const webm = await readFile(await film(app.folder, 'film.webm', ['-c:v', 'libvpx', '-deadline', 'realtime']))
    await page.goto(addressOf(await app.upload(webm, { type: 'video/webm' })))
    await page.waitForFunction('document.querySelector("video")?.videoWidth === 160')
    await page.goto(addressOf(await app.upload('Grüße, <b>日本</b>', { type: 'text/plain' })))
    expect(await page.locator('body').innerText()).toBe('Grüße, <b>日本</b>')
    await page.goto('http://example.org/_matrix/media/v3/identicon/alice')
    expect(await drawnPictures(page)).toMatchObject([{ width: 96, height: 96 }])
  })

  test('what is quarantined is a picture that says so, in place of the file and of its thumbnail', async () => {
    const media = await app.upload(await noise({ width: 70, height: 70 }).png().toBuffer())
    await app.ask(`/_matrix/media/unstable/admin/quarantine/${media}`, { method: 'POST', token: ADMIN.token })
    await using visit = await browser.open()
    for (const url of [addressOf(media), thumbnailOf(media)]) {
      await visit.page.goto(url)
      expect(await drawnPictures(visit.page)).toMatchObject([{ isSeen: true }])
    }
  })

  test('clients in a browser show them, ask with a token, and may read the headers that tell names and sizes', async () => {
    const picture = await noise({ width: 60, height: 40 }).png().toBuffer()
    const media = await app.upload(picture, { name: 'a.png' })
    await using visit = await browser.open()
    const { page, troubles } = visit
    clientPage = `<link rel="icon" href="data:,"><img src="${thumbnailOf(media)}"><img crossorigin src="${addressOf(media)}">`
    await page.goto('http://client.example/')
    expect(await drawnPictures(page)).toMatchObject([
      { width: 32, isSeen: true },
      { width: 60, isSeen: true },
    ])
    const url = `http://example.org/_matrix/client/v1/media/download/${media}`
    // First: what it was given once, a browser keeps, and does not ask for again.
    expect(await page.evaluate(`(${READ})('${url}', 'Bearer wrong')`)).toMatchObject({ status: 401 })
    expect(await page.evaluate(`(${READ})('${url}', 'Bearer ${ALICE.token}')`)).toEqual({
      status: 206,
      bytes: 10,
      disposition: 'inline; filename=a.png',
      range: `bytes 0-9/${picture.length}`,
    })
    expect(troubles.filter((trouble) => !trouble.includes('401'))).toEqual([])
  })
})

/** Answers everything with a page, which says that it embeds nothing that does not allow it. */
async function servePage(body: () => string) {
  const headers = { 'content-type': 'text/html', 'cross-origin-embedder-policy': 'require-corp' }
  const server = createServer((_, response) => void response.writeHead(200, headers).end(body()))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

/** What a client in a browser gets of a file. Run there. */
const READ = `async (url, authorization) => {
  const answer = await fetch(url, { headers: { authorization, range: 'bytes=0-9' } })
  const { byteLength: bytes } = await answer.arrayBuffer()
  const [disposition, range] = ['content-disposition', 'content-range'].map((name) => answer.headers.get(name))
  return { status: answer.status, bytes, disposition, range }
}`
