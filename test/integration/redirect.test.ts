/** Clients are sent to the bucket of a real S3 server, and find there what we would have sent. */
import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { request } from 'undici'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ALICE, type Asked, startApp, type TestApp } from '../support/app.ts'
import { quarters } from '../support/images.ts'
import { describeWith, freePort } from '../support/services.ts'
import { startVersitygw, type Versitygw } from '../support/versitygw.ts'

const BODY = randomBytes(100_000)
const CLIENT = '/_matrix/client/v1/media/download'
const LEGACY = ['/_matrix/media/r0/download', '/_matrix/media/v1/download', '/_matrix/media/v3/download']

describeWith('versitygw', 'Redirects to a bucket', () => {
  const cleanup = new AsyncDisposableStack()
  let s3: Versitygw
  let app: TestApp
  let metrics = 0
  let media = ''

  const config = (opts: Record<string, string>, freeze = false) => ({
    repo: { freezeUnauthenticatedMedia: freeze },
    // What a cache has in memory is not redirected.
    downloads: { cache: { enabled: false } },
    metrics: { enabled: true, bindAddress: '127.0.0.1', port: metrics },
    datastores: [{ type: 's3', id: 'bucket', forKinds: ['all'], opts: { ...s3.options, ...opts } }],
  })
  const get = (path: string, asked: Asked = {}) => app.ask(path, { token: ALICE.token, ...asked })

  beforeAll(async () => {
    s3 = cleanup.use(await startVersitygw())
    metrics = await freePort()
    app = cleanup.use(await startApp({ config: config({ presign: 'true' }) }))
    media = await app.upload(BODY, { name: 'a cat.png' })
  }, 60_000)
  afterAll(() => cleanup.disposeAsync())

  test('carry these headers, and lead to the bytes', async () => {
    const { status, headers, body } = await get(`${CLIENT}/${media}`)
    expect(status).toBe(307)
    expect(body).toHaveLength(0)
    expect(headers).toMatchObject({
      'content-length': '0',
      'cache-control': 'no-store',
      'access-control-allow-origin': '*',
      'access-control-expose-headers': expect.stringContaining('Content-Disposition'),
      'cross-origin-resource-policy': 'cross-origin',
      'content-security-policy': expect.stringContaining("default-src 'none'"),
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    })
    for (const name of ['etag', 'content-disposition', 'content-type', 'accept-ranges']) {
      expect(headers).not.toHaveProperty(name)
    }
    const location = new URL(headers.location ?? '')
    expect(location.host).toBe(s3.endpoint)
    expect(location.searchParams.get('X-Amz-Expires')).toBe('60')
    expect(location.href).not.toContain(ALICE.token)
    const found = await follow(headers.location)
    expect(found.status).toBe(200)
    expect(found.body.equals(BODY)).toBe(true)
  })

  test.each([
    ['image/png', 'a cat.png', 'image/png'],
    ['image/png', 'ünïcödé “quotes” ✓ "x"\\.png', 'image/png'],
    ['text/html', 'page.html', 'text/html; charset=UTF-8'],
    ['text/plain', 'notes.txt', 'text/plain; charset=UTF-8'],
    ['image/svg+xml', 'drawing.svg', 'image/svg+xml; charset=UTF-8'],
  ])(
    'lead to a file of type %s named %s with type, name and disposition that we would send',
    async (type, name, served) => {
      // The same bytes each time: one object has many names and types.
      const uploaded = await app.upload(BODY, { type, name })
      const head = await get(`${CLIENT}/${uploaded}`, { method: 'HEAD' })
      const found = await follow((await get(`${CLIENT}/${uploaded}`)).headers.location)
      expect(found.headers['content-type']).toBe(served)
      for (const header of ['content-type', 'content-disposition', 'cache-control', 'content-length']) {
        expect(found.headers[header]).toBe(head.headers[header])
      }
    },
  )

  test('do not let the client choose another type or disposition', async () => {
    const page = await app.upload(BODY, { type: 'text/html', name: 'page.html' })
    const location = new URL((await get(`${CLIENT}/${page}`)).headers.location ?? '')
    location.searchParams.set('response-content-disposition', 'inline')
    expect((await follow(location.href)).status).toBe(403)
  })

  test('are what a range is answered with, for the client to repeat it there', async () => {
    const range = { range: 'bytes=100-199' }
    const { status, headers } = await get(`${CLIENT}/${media}`, { headers: range })
    expect(status).toBe(307)
    expect(headers).not.toHaveProperty('content-range')
    const found = await follow(headers.location, range)
    expect(found).toMatchObject({ status: 206, headers: { 'content-range': 'bytes 100-199/100000' } })
    expect(found.body.equals(BODY.subarray(100, 200))).toBe(true)
  })

  test('come after all else that can be answered without the bytes', async () => {
    const head = await get(`${CLIENT}/${media}`, { method: 'HEAD' })
    expect(head).toMatchObject({ status: 200, headers: { 'content-length': '100000', 'content-type': 'image/png' } })
    const known = { 'if-none-match': String(head.headers.etag) }
    expect((await get(`${CLIENT}/${media}`, { headers: known })).status).toBe(304)
    const beyond = await get(`${CLIENT}/${media}`, { headers: { range: 'bytes=100000-' } })
    expect(beyond).toMatchObject({ status: 416, headers: { 'content-range': 'bytes */100000' } })
  })

  test.each(LEGACY)('are given at %s only to those who say that they follow', async (path) => {
    const direct = await app.ask(`${path}/${media}`)
    expect(direct.status).toBe(200)
    expect(direct.body.equals(BODY)).toBe(true)
    expect((await app.ask(`${path}/${media}?allow_redirect=false`)).status).toBe(200)
    expect((await app.ask(`${path}/${media}?allow_redirect=true`)).status).toBe(307)
    expect((await app.ask(`${path}/${media}?allow_redirect=perhaps`)).status).toBe(400)
  })

  test('are given on authenticated paths whatever the query says', async () => {
    expect((await get(`${CLIENT}/${media}?allow_redirect=false`)).status).toBe(307)
  })

  test('are for thumbnails too', async () => {
    const picture96 = await app.upload(await (await quarters({ width: 400, height: 300 })).png().toBuffer())
    const path = `/_matrix/client/v1/media/thumbnail/${picture96}?width=96&height=96&method=crop`
    const found = await follow((await get(path)).headers.location)
    expect(found.status).toBe(200)
    expect(found.headers['content-type']).toMatch(/^image\/(png|jpeg)$/)
    expect(found.headers['content-disposition']).toMatch(/^inline; filename="?thumbnail\./)
  })

  test('are not given to who may not have the file', async () => {
    await app.reload(config({ presign: 'true' }, true))
    const frozen = await app.upload(randomBytes(1000))
    expect((await app.ask(`${LEGACY[2]}/${frozen}?allow_redirect=true`)).status).toBe(404)
    expect((await app.ask(`${CLIENT}/${frozen}`)).status).toBe(401)
    expect((await get(`${CLIENT}/${frozen}`)).status).toBe(307)
    app.sql('UPDATE media SET quarantined_at = 1 WHERE media_id = ?', frozen.split('/')[1] ?? '')
    expect((await get(`${CLIENT}/${frozen}`)).status).toBe(404)
    expect((await get(`${CLIENT}/example.org/unknown`)).status).toBe(404)
  })

  test('are counted as MMR counts them', async () => {
    const before = await redirectsCounted()
    await get(`${CLIENT}/${media}`)
    await get(`${CLIENT}/${media}`, { method: 'HEAD' })
    expect(await redirectsCounted()).toBe(before + 1)
  })

  test('lead to nothing where the object is lost: nobody looks before', async () => {
    const lost = await app.upload(randomBytes(1000))
    const { headers } = await get(`${CLIENT}/${lost}`)
    await rm(
      join(s3.folder, decodeURIComponent(new URL(headers.location ?? '').pathname.split('/').slice(2).join('/'))),
    )
    const again = await get(`${CLIENT}/${lost}`)
    expect(again.status).toBe(307)
    expect((await follow(again.headers.location)).status).toBe(404)
  })

  test('lead to publicBaseUrl plus the key, where that is set', async () => {
    await using open = await startApp({
      config: { ...config({ publicBaseUrl: 'https://cdn.example/m/' }), metrics: {} },
    })
    const uploaded = await open.upload(BODY)
    const { status, headers } = await open.ask(`${CLIENT}/${uploaded}`, { token: ALICE.token })
    const [row] = open.sql('SELECT location FROM objects')
    expect([status, headers.location]).toEqual([307, `https://cdn.example/m/${String(row?.['location'])}`])
    expect(headers['cache-control']).toBe('no-store')
  })

  test('are not given unless they are configured', async () => {
    await using closed = await startApp({ config: { ...config({}), metrics: {} } })
    const uploaded = await closed.upload(BODY)
    const { status, body } = await closed.ask(`${CLIENT}/${uploaded}`, { token: ALICE.token })
    expect(status).toBe(200)
    expect(body.equals(BODY)).toBe(true)
  })

  async function redirectsCounted(): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text()
    return Number(/^media_s3_operations_total\{operation="RedirectGetObject"\} (\d+)/m.exec(text)?.[1] ?? 0)
  }
})

/** What is there, for a client without any token. */
async function follow(location: string | undefined, headers: Record<string, string> = {}) {
  const answer = await request(location ?? '', { headers })
  return { status: answer.statusCode, headers: answer.headers, body: Buffer.from(await answer.body.arrayBuffer()) }
}
