import { createHash, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { MsgType, Preset, type MatrixClient } from 'matrix-js-sdk'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { addressOf, fetchAs, logIn, nextPicture, startSyncing } from '../support/matrix-client.ts'
import { startNginx, type Nginx } from '../support/nginx.ts'
import { startServer, type Server } from '../support/server.ts'
import { temporaryFolder } from '../support/folder.ts'
import { describeWith } from '../support/services.ts'
import { startSynapse, type Synapse } from '../support/synapse.ts'

const SERVER_NAME = 'example.org'
const PASSWORD = 'a password for tests'

// Red, green, blue, white: one colour a quarter, so that a thumbnail that is turned, mirrored or cut shows.
const QUARTERS = ['#e02020', '#20c040', '#2040e0', '#f0f0f0'] as const

describeWith(['synapse', 'nginx', 'openssl'], 'Two people on a real Synapse behind a real nginx', () => {
  const cleanup = new AsyncDisposableStack()
  let synapse: Synapse
  let server: Server
  let nginx: Nginx
  let alice: MatrixClient
  let bob: MatrixClient

  beforeAll(async () => {
    const folder = cleanup.use(await temporaryFolder()).path
    synapse = cleanup.use(await startSynapse({ serverName: SERVER_NAME }))
    server = cleanup.use(await startServer({ config: configuration(synapse, folder) }))
    const behind = { cellariumPort: server.port, homeserverPort: synapse.port, serverName: SERVER_NAME }
    nginx = cleanup.use(await startNginx(behind))
    setDefaultCACertificates([...getCACertificates('default'), nginx.certificate])
    for (const name of ['alice', 'bob']) await synapse.register(name, PASSWORD)
    alice = await logIn(nginx.url, `@alice:${SERVER_NAME}`, PASSWORD)
    bob = await logIn(nginx.url, `@bob:${SERVER_NAME}`, PASSWORD)
    cleanup.defer(() => [alice, bob].forEach((client) => client.stopClient()))
  })
  afterAll(() => cleanup.disposeAsync())

  test('a picture that one sends into a room arrives at the other, whole and as a thumbnail', async () => {
    const picture = await drawQuarters(640, 480)
    const room = await roomOfTwo()
    const { content_uri: mxc } = await alice.uploadContent(picture, { name: 'a picture ✓.png', type: 'image/png' })
    expect(mxc).toMatch(new RegExp(`^mxc://${SERVER_NAME}/[A-Za-z0-9_-]+$`))

    const received = nextPicture(bob)
    const info = { mimetype: 'image/png', w: 640, h: 480, size: picture.length }
    await alice.sendMessage(room, { msgtype: MsgType.Image, body: 'a picture ✓.png', url: mxc, info })
    const seenByBob = String((await received).getContent()['url'])
    expect(seenByBob).toBe(mxc)

    const download = await fetchAs(bob, addressOf(bob, seenByBob))
    expect(download.status).toBe(200)
    expect(download.headers.get('content-type')).toBe('image/png')
    expect(download.headers.get('content-disposition')).toMatch(
      /^inline;.*filename\*=utf-8''a%20picture%20%E2%9C%93\.png/i,
    )
    expect(download.headers.get('access-control-allow-origin')).toBe('*')
    expect(await pixelsOf(await download.bytes())).toEqual(await pixelsOf(picture))

    const thumbnail = await fetchAs(bob, addressOf(bob, seenByBob, { width: 320, height: 240, method: 'scale' }))
    expect(thumbnail.status).toBe(200)
    await expectQuarters(await thumbnail.bytes(), 320, 240)
    const cropped = await fetchAs(bob, addressOf(bob, seenByBob, { width: 96, height: 96, method: 'crop' }))
    await expectQuarters(await cropped.bytes(), 96, 96)
  })

  test('what is uploaded is shown to nobody without a token', async () => {
    const { content_uri: mxc } = await alice.uploadContent(randomBytes(5_000), { type: 'application/octet-stream' })
    const authenticated = await fetch(addressOf(bob, mxc))
    expect(authenticated.status).toBe(401)
    expect(await authenticated.json()).toMatchObject({ errcode: 'M_MISSING_TOKEN' })
    const legacy = await fetch(`${nginx.url}/_matrix/media/v3/download/${mxc.slice('mxc://'.length)}`)
    expect(legacy.status).toBe(404)
    expect(await legacy.json()).toMatchObject({ errcode: 'M_NOT_FOUND' })
  })

  test('50 MiB go up and come down again byte by byte', async () => {
    const bytes = randomBytes(50 * 1024 * 1024)
    const { content_uri: mxc } = await alice.uploadContent(bytes, { name: 'large.bin', type: 'application/zip' })
    const download = await fetchAs(bob, addressOf(bob, mxc))
    expect(download.status).toBe(200)
    expect(Number(download.headers.get('content-length'))).toBe(bytes.length)
    expect(sha256(await download.bytes())).toBe(sha256(bytes))
  })

  test('logging out makes a remembered token useless for media at once', async () => {
    const { content_uri: mxc } = await alice.uploadContent(randomBytes(5_000), { type: 'application/octet-stream' })
    const otherDevice = await anotherDeviceOfBob()
    const address = addressOf(otherDevice, mxc)
    expect((await fetchAs(otherDevice, address)).status).toBe(200)
    const askedBefore = timesAskedWhoami()
    expect((await fetchAs(otherDevice, address)).status).toBe(200)
    expect(timesAskedWhoami(), 'the second download should be answered from the token cache').toBe(askedBefore)

    await otherDevice.logout()
    const refused = await fetchAs(otherDevice, address)
    expect(refused.status).toBe(401)
    expect(await refused.json()).toMatchObject({ errcode: 'M_UNKNOWN_TOKEN' })
    expect((await fetchAs(bob, addressOf(bob, mxc))).status, 'his other device stays logged in').toBe(200)
  })

  test('logging out everywhere ends the tokens of all devices for media at once', async () => {
    await synapse.register('dave', PASSWORD)
    const { content_uri: mxc } = await alice.uploadContent(randomBytes(5_000), { type: 'application/octet-stream' })
    const devices = [
      await logIn(nginx.url, '@dave:example.org', PASSWORD),
      await logIn(nginx.url, '@dave:example.org', PASSWORD),
    ]
    for (const device of devices) expect((await fetchAs(device, addressOf(device, mxc))).status).toBe(200)
    const answer = await fetch(`${nginx.url}/_matrix/client/v3/logout/all`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${devices[0]?.getAccessToken() ?? ''}` },
    })
    expect(answer.status).toBe(200)
    for (const device of devices) expect((await fetchAs(device, addressOf(device, mxc))).status).toBe(401)
  })

  test('the homeserver itself keeps no media', async () => {
    const { status } = await fetch(`${synapse.url}/_matrix/media/v3/config`)
    expect(status).toBe(404)
  })

  /** A room that both are in, with Bob's client syncing. */
  async function roomOfTwo(): Promise<string> {
    const bobsId = `@bob:${SERVER_NAME}`
    const { room_id: room } = await alice.createRoom({ preset: Preset.TrustedPrivateChat, invite: [bobsId] })
    await bob.joinRoom(room)
    await startSyncing(bob)
    return room
  }

  function anotherDeviceOfBob(): Promise<MatrixClient> {
    return logIn(nginx.url, `@bob:${SERVER_NAME}`, PASSWORD)
  }

  function timesAskedWhoami(): number {
    return synapse.lines.filter((line) => line.includes('/account/whoami') && line.includes('Processed request')).length
  }
})

/** As an administrator would write it for one homeserver, with tokens remembered for twelve hours. */
function configuration(synapse: Synapse, folder: string): Record<string, unknown> {
  return {
    homeservers: [{ name: SERVER_NAME, csApi: synapse.url, adminApiKind: 'synapse' }],
    database: { sqlite: join(folder, 'cellarium.sqlite') },
    datastores: [{ type: 'file', id: 'files', forKinds: ['all'], opts: { path: join(folder, 'media') } }],
    accessTokens: { maxCacheTimeSeconds: 43_200 },
  }
}

async function drawQuarters(width: number, height: number): Promise<Buffer<ArrayBuffer>> {
  const size = { width: width / 2, height: height / 2, channels: 3 } as const
  const quarters = QUARTERS.map((background, index) => ({
    input: { create: { ...size, background } },
    left: (index % 2) * size.width,
    top: Math.floor(index / 2) * size.height,
  }))
  const canvas = sharp({ create: { width, height, channels: 3, background: 'black' } })
  return Buffer.from(await canvas.composite(quarters).png().toBuffer())
}

async function pixelsOf(image: Uint8Array): Promise<{ size: string; digest: string }> {
  const { data, info } = await sharp(image).removeAlpha().raw().toBuffer({ resolveWithObject: true })
  return { size: `${info.width} × ${info.height}`, digest: sha256(data) }
}

/** The picture has this size, and the middle of each quarter its colour (a lossy format may be a little off). */
async function expectQuarters(image: Uint8Array, width: number, height: number): Promise<void> {
  const { data, info } = await sharp(image).removeAlpha().raw().toBuffer({ resolveWithObject: true })
  expect({ width: info.width, height: info.height }).toEqual({ width, height })
  QUARTERS.forEach((colour, index) => {
    const x = Math.floor(width * (0.25 + 0.5 * (index % 2)))
    const y = Math.floor(height * (0.25 + 0.5 * Math.floor(index / 2)))
    const start = (y * width + x) * 3
    const expected = Buffer.from(colour.slice(1), 'hex')
    const distance = Math.max(
      ...[0, 1, 2].map((channel) => Math.abs((data[start + channel] ?? 0) - (expected[channel] ?? 0))),
    )
    expect(distance, `colour at ${x},${y}`).toBeLessThan(16)
  })
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
