/** Our answers to other homeservers, as those read them; and redirects to a bucket, which some follow. */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ALICE } from '../support/app.ts'
import { type AskedByServers, startAskedByServers } from '../support/asking-server.ts'
import { temporaryFolder } from '../support/folder.ts'
import { quarters } from '../support/images.ts'
import { describeWith } from '../support/services.ts'
import { readBySynapse } from '../support/synapse-reader.ts'
import { startVersitygw, type Versitygw } from '../support/versitygw.ts'

/** Python and Twisted start slowly. */
const PATIENT = { timeout: 60_000 }
const PREFIX = '/_matrix/federation/v1/media'
const idOf = (media: string) => media.slice(media.indexOf('/') + 1)

/** Asks as Synapse does, for the homeserver `example.org`. */
function synapseAsks({ app, authorization }: AskedByServers, path: string) {
  return readBySynapse(`${app.url}${PREFIX}/${path}`, { Authorization: authorization(path), Host: 'example.org' })
}

describeWith(['openssl', 'synapse'], "Synapse's own reader", () => {
  let servers: AskedByServers
  beforeAll(async () => {
    servers = await startAskedByServers()
  }, 60_000)
  afterAll(() => servers[Symbol.asyncDispose]())

  test.each([0, 1, 5000, 200_000, 12_000_000])('understands a file of %i bytes', PATIENT, async (size) => {
    const body = randomBytes(size)
    const id = idOf(await servers.app.upload(body, { type: 'image/png', name: 'ein Bär.png' }))
    const { file, ...read } = await synapseAsks(servers, `download/${id}?timeout_ms=20000`)
    expect(read).toEqual({
      json: '{}',
      bytes: size,
      contentType: 'image/png',
      disposition: "inline; filename*=UTF-8''ein%20B%C3%A4r.png",
      url: null,
    })
    expect(file.equals(body)).toBe(true)
  })

  test('understands a file that is full of what separates parts', PATIENT, async () => {
    const body = Buffer.from('\r\n--\r\n--0123456789abcdef0123456789abcdef--\r\n\r\n--'.repeat(2000))
    const { file } = await synapseAsks(servers, `download/${idOf(await servers.app.upload(body))}`)
    expect(file.equals(body)).toBe(true)
  })

  test('understands a thumbnail', PATIENT, async () => {
    const id = idOf(await servers.app.upload(await (await quarters({ width: 400, height: 300 })).png().toBuffer()))
    const { contentType, bytes, file } = await synapseAsks(servers, `thumbnail/${id}?width=96&height=96&method=crop`)
    expect([contentType, bytes]).toEqual(['image/png', file.length])
    expect(file.subarray(1, 4).toString()).toBe('PNG')
  })
})

describeWith('openssl', 'Files that the proxy sends to clients', () => {
  test('are sent to other homeservers by us, since no proxy can put them between two parts', async () => {
    await using folder = await temporaryFolder()
    const opts = { path: folder.path, offload: 'nginx:/internal/' }
    const config = { datastores: [{ type: 'file', id: 'files', forKinds: ['all'], opts }] }
    await using servers = await startAskedByServers({ config })
    const body = randomBytes(2_000_000)
    const media = await servers.app.upload(body)
    const client = await servers.app.ask(`/_matrix/client/v1/media/download/${media}`, { token: ALICE.token })
    expect(client.headers).toHaveProperty('x-accel-redirect')
    const { headers, body: received } = await servers.ask(`download/${idOf(media)}`)
    expect(headers).not.toHaveProperty('x-accel-redirect')
    expect(received.includes(body)).toBe(true)
  })
})

describeWith(['openssl', 'versitygw'], 'A bucket that other homeservers may be sent to', () => {
  const cleanup = new AsyncDisposableStack()
  const BODY = randomBytes(100_000)
  let s3: Versitygw
  let servers: AskedByServers
  let id = ''
  const config = (opts: Readonly<Record<string, string>>) => ({
    downloads: { cache: { enabled: false } },
    rateLimit: { perServer: { capacityBytes: 1, drainBytesPerMinute: 1 } },
    datastores: [{ type: 's3', id: 'bucket', forKinds: ['all'], opts: { ...s3.options, presign: 'true', ...opts } }],
  })

  beforeAll(async () => {
    s3 = cleanup.use(await startVersitygw())
    servers = cleanup.use(await startAskedByServers({ config: config({ federationRedirect: 'true' }) }))
    id = idOf(await servers.app.upload(BODY, { type: 'image/png', name: 'a cat.png' }))
  }, 60_000)
  afterAll(() => cleanup.disposeAsync())

  test('is named in the second part, where nothing but the address stands, and counts for no bytes', async () => {
    for (let turn = 0; turn < 3; turn++) {
      const { status, headers, body } = await servers.ask(`download/${id}`)
      expect(status).toBe(200)
      const boundary = String(headers['content-type']).slice('multipart/mixed; boundary='.length)
      const [, location = ''] = /\r\nLocation: (\S+)\r\n/.exec(body.toString('latin1')) ?? []
      expect(body.toString('latin1')).toBe(
        `\r\n--${boundary}\r\nContent-Type: application/json\r\n\r\n{}\r\n--${boundary}\r\nLocation: ${location}\r\n\r\n\r\n--${boundary}--\r\n`,
      )
      expect(headers).toMatchObject({ 'content-length': String(body.length), 'cache-control': 'no-store' })
      expect(headers).not.toHaveProperty('etag')
      const found = await fetch(location)
      expect(found.headers.get('content-type')).toBe('image/png')
      expect(found.headers.get('content-disposition')).toBe('inline; filename="a cat.png"')
      expect(Buffer.from(await found.arrayBuffer()).equals(BODY)).toBe(true)
    }
  })

  describeWith('synapse', 'for Synapse', () => {
    test('is found by its reader', PATIENT, async () => {
      const { json, bytes, url, file } = await synapseAsks(servers, `download/${id}`)
      expect({ json, bytes, size: file.length }).toEqual({ json: '{}', bytes: 0, size: 0 })
      expect((await fetch(String(url))).status).toBe(200)
    })
  })

  test('is not named where the administrator did not say that they follow; and then bytes count', async () => {
    await servers.app.reload(config({}))
    const { status, body } = await servers.ask(`download/${id}`)
    expect(status).toBe(200)
    expect(body.includes(BODY)).toBe(true)
    const limited = await servers.ask(`download/${id}`)
    expect(limited).toMatchObject({ status: 429, json: { errcode: 'M_LIMIT_EXCEEDED' } })
  })
})
