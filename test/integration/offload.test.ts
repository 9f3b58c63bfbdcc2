/** Proxies send the files, with the configurations of docs/reverse-proxy.md: every header has to be as if we had. */
import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startApache } from '../support/apache.ts'
import { startCaddy } from '../support/caddy.ts'
import { startNginx } from '../support/nginx.ts'
import { openOffloading, type Asking, type Offloading, type Proxy } from '../support/offloading.ts'
import { describeWith } from '../support/services.ts'

const PROXIES: readonly Proxy[] = [
  { needs: ['nginx', 'openssl'], option: 'nginx:/internal/', header: 'x-accel-redirect', start: startNginx },
  { needs: ['caddy'], option: 'nginx:/', header: 'x-accel-redirect', start: startCaddy },
  { needs: ['apache2'], option: 'sendfile', header: 'x-sendfile', start: startApache, adds: ['last-modified'] },
]

const BODY = randomBytes(100_000)
const FAR = 'Fri, 01 Jan 2100 00:00:00 GMT'
const LONG_AGO = 'Mon, 01 Jan 1990 00:00:00 GMT'

/** `ETAG` stands for the file's own. */
const REQUESTS: readonly (readonly [title: string, status: number, asking: Asking])[] = [
  ['the whole file', 200, {}],
  ['a range', 206, { headers: { range: 'bytes=100-199' } }],
  ['the rest', 206, { headers: { range: 'bytes=99000-' } }],
  ['the end', 206, { headers: { range: 'bytes=-500' } }],
  ['a range of the same file', 206, { headers: { range: 'bytes=5-9', 'if-range': 'ETAG' } }],
  ['a range of another file', 200, { headers: { range: 'bytes=5-9', 'if-range': '"other"' } }],
  ['several ranges', 200, { headers: { range: 'bytes=0-1,5-9' } }],
  ['a range beyond the end', 416, { headers: { range: 'bytes=100000-' } }],
  ['the head', 200, { method: 'HEAD' }],
  ['the head of a range', 200, { method: 'HEAD', headers: { range: 'bytes=5-9' } }],
  ['what is there already', 304, { headers: { 'if-none-match': 'ETAG' } }],
  ['what another file replaced', 200, { headers: { 'if-none-match': '"other"' } }],
  ['what changes after 2100', 200, { headers: { 'if-modified-since': FAR } }],
  ['what has not changed since 1990', 200, { headers: { 'if-unmodified-since': LONG_AGO } }],
  ['another file only', 200, { headers: { 'if-match': '"other"' } }],
  ['the file without a token', 404, { path: 'legacy', token: 'none' }],
  ['a file that does not exist', 404, { path: 'unknown' }],
]

const FILES: readonly (readonly [type: string, name: string, disposition: 'inline' | 'attachment'])[] = [
  ['image/png', 'ünïcödé “quotes” ✓.png', 'inline'],
  ['image/png', 'a"b\\c%20d;e.png', 'inline'],
  ['text/plain', 'notes.txt', 'inline'],
  ['text/html', 'page.html', 'attachment'],
  ['image/svg+xml', 'drawing.svg', 'attachment'],
  ['application/x-odd; a="b;c"', 'no ending', 'attachment'],
]

/** Up to 16 KiB we send files ourselves. */
const SIZES = [0, 1, 16 * 1024, 16 * 1024 + 1]

/** What comes from a proxy that ends the connection. */
const ENDED = { status: 'the connection ended', headers: {} }

for (const proxy of PROXIES) {
  describeWith(proxy.needs, `Offload to ${proxy.needs[0]}`, () => {
    let offloading: Offloading
    const media = new Map<string, string>()

    beforeAll(async () => {
      offloading = await openOffloading(proxy)
      const { app, remember, offload } = offloading
      media.set('whole', await app.upload(BODY, { name: 'a cat.png' }))
      for (const [title, , asking] of REQUESTS) await remember(title, media.get('whole'), asking)
      for (const [type, name] of FILES) {
        // Every file is an object of its own.
        media.set(name, await app.upload(Buffer.concat([BODY, Buffer.from(type + name)]), { type, name }))
        await remember(name, media.get(name))
      }
      for (const size of SIZES) {
        media.set(`${size}`, await app.upload(randomBytes(size)))
        await remember(`${size}`, media.get(`${size}`))
      }
      await offload(media.get('whole'))
    }, 120_000)
    afterAll(() => offloading[Symbol.asyncDispose]())

    test('the bytes come from the proxy', async () => {
      const { direct, ask } = offloading
      const told = await direct(media.get('whole'))
      expect(told.body).toHaveLength(0)
      expect(told.headers[proxy.header]).toMatch(/\/[0-9a-f]{32}$/)
      const { sha256, headers } = await ask(media.get('whole'))
      expect(sha256).toBe(createHash('sha256').update(BODY).digest('hex'))
      expect(headers).not.toHaveProperty(proxy.header)
    })

    test.each(REQUESTS)('%s is answered as without offload', async (title, status, asking) => {
      const answer = await offloading.ask(media.get('whole'), asking)
      expect(answer.status).toBe(status)
      expect(answer).toEqual(offloading.remembered(title))
    })

    test.each(FILES)('a file of type %s named %s keeps all its headers', async (_, name, disposition) => {
      const answer = await offloading.ask(media.get(name))
      expect(answer).toEqual(offloading.remembered(name))
      expect(answer.headers['content-disposition']).toMatch(new RegExp(`^${disposition}; filename`))
      expect((await offloading.direct(media.get(name))).headers).toHaveProperty(proxy.header)
    })

    test.each(SIZES)('a file of %i bytes comes whole', async (size) => {
      const answer = await offloading.ask(media.get(`${size}`))
      expect(answer).toEqual(offloading.remembered(`${size}`))
      expect(answer.size).toBe(size)
      const { headers } = await offloading.direct(media.get(`${size}`))
      expect(proxy.header in headers).toBe(size > 16 * 1024)
    })

    // Caddy 2.6 does not decode the path, as docs/reverse-proxy.md says.
    if (!proxy.needs.includes('caddy')) {
      test('a file that was taken over with an odd place is found there', async () => {
        const { app, ask, move } = offloading
        const bytes = randomBytes(50_000)
        const taken = await app.upload(bytes)
        await move(taken, 'a b/ü%41?#"x')
        expect(await ask(taken)).toMatchObject({
          status: 200,
          sha256: createHash('sha256').update(bytes).digest('hex'),
        })
      })
    }

    test('nobody can ask for a file by the path that the proxy is told', async () => {
      const { headers } = await offloading.direct(media.get('whole'))
      const { status } = await offloading.ask(undefined, { path: String(headers[proxy.header]) }).catch(() => ENDED)
      expect([404, ENDED.status]).toContain(status)
    })

    test('a file that vanished is not found', async () => {
      const { app, ask, lose } = offloading
      const lost = await app.upload(randomBytes(50_000))
      await lose(lost)
      expect(await ask(lost)).toMatchObject({ status: 404, headers: { 'content-type': 'application/json' } })
    })

    test('a file that vanishes while the proxy is told of it leaves nothing that is kept for days', async () => {
      const { app, ask, lose } = offloading
      const lost = await app.upload(randomBytes(50_000))
      // We keep it open for a moment, and do not notice.
      expect((await ask(lost)).status).toBe(200)
      await lose(lost)
      const { status, headers } = await ask(lost).catch(() => ENDED)
      expect(headers).not.toHaveProperty('cache-control')
      expect([404, ENDED.status]).toContain(status)
    })
  })
}
