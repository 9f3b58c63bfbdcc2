import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ALICE, BOB, eventually, heldClock } from '../support/app.ts'
import { noise } from '../support/images.ts'
import { downloadOf, type Federated, legacyDownloadOf, startFederated, thumbnailOf } from '../support/remote.ts'
import { head, mixed, mixedBody, type Script } from '../support/scripted-origin.ts'
import { describeWith } from '../support/services.ts'

const DOWNLOADS = { capacityBytes: 1_000_000, drainBytesPerMinute: 60, overflowLimitBytes: 100_000 }
const rateLimit = { buckets: { downloads: DOWNLOADS } }
const config = { repo: { freezeUnauthenticatedMedia: false }, rateLimit }

describeWith('openssl', 'What a caller has fetched from other servers', () => {
  let world: Federated
  beforeEach(async () => void (world = await startFederated({ config, clock: heldClock() })))
  afterEach(() => world[Symbol.asyncDispose]())

  const download = (media: string, { token } = ALICE) => world.app.ask(downloadOf(media), { token })
  const statusOf = async (media: string, user = ALICE) => (await download(media, user)).status
  const isStored = (media: string) =>
    world.app.sql('select 1 from media where media_id = ?', media.split('/')[1] ?? '').length > 0
  /** A file whose server tells its length, or does not. */
  const put = (file: Buffer | number, announced = true) => {
    const bytes = typeof file === 'number' ? randomBytes(file) : file
    return world.remote.put(async (talk) => {
      await talk.send(announced ? mixed(bytes, { headers: announcing(bytes.length) }) : mixed(bytes))
    })
  }

  const from = async (media: string, address: string) =>
    (await world.app.ask(legacyDownloadOf(media), { headers: { 'x-forwarded-for': address } })).status

  test('is charged before it is sent, where its length is known: what is too much is neither sent nor fetched', async () => {
    expect(await statusOf(put(900_000))).toBe(200)
    const { script, hungUp } = endless(400_000)
    const media = world.remote.put(script)
    expect(await download(media)).toMatchObject({
      status: 429,
      json: { errcode: 'M_LIMIT_EXCEEDED', retry_after_ms: expect.any(Number) },
      headers: { 'retry-after': expect.any(String), 'access-control-allow-origin': '*' },
    })
    await hungUp
    expect(isStored(media)).toBe(false)
    expect(await statusOf(put(400_000), BOB)).toBe(200)
    expect(await statusOf(put(100_000)), 'a smaller one fits').toBe(200)
  })

  test('is charged afterwards, where its length is not known', async () => {
    expect(await statusOf(put(1_200_000, false))).toBe(200)
    const media = put(10)
    await eventually(async () => (await statusOf(media)) === 429)
  })

  test('is charged although it breaks off', async () => {
    const broken = world.remote.put(async (talk) => {
      await talk.send(
        head(200, [`Content-Type: multipart/mixed; boundary=gc0p4Jq0M2Yt08jU534c0p`, 'Connection: close']),
      )
      await talk.send(mixedBody(randomBytes(1_500_000)).subarray(0, 1_400_000))
      talk.end()
    })
    await download(broken).catch(() => {})
    await eventually(async () => (await statusOf(put(10))) === 429)
  })

  test('is not asked for at all once the share is used up, for a thumbnail or HEAD no more than else', async () => {
    const here = put(await noise({ width: 64, height: 64 }).png().toBuffer())
    expect(await statusOf(here)).toBe(200)
    expect(await statusOf(put(1_050_000))).toBe(200)
    const media = put(10)
    expect(await statusOf(media)).toBe(429)
    expect((await world.app.ask(thumbnailOf(media), { token: ALICE.token })).status).toBe(429)
    expect((await world.app.ask(downloadOf(media), { token: ALICE.token, method: 'HEAD' })).status).toBe(429)
    expect(world.remote.asked(media)).toBe(0)
    expect(await statusOf(here), 'what is here already is free').toBe(200)
    expect((await world.app.ask(thumbnailOf(here), { token: ALICE.token })).status).toBe(200)
    expect(await statusOf(await world.app.upload(randomBytes(100)))).toBe(200)
  })

  test('is paid for by who asked first, and by nobody who waits for it too', async () => {
    const gate = Promise.withResolvers<void>()
    const bytes = randomBytes(900_000)
    const media = world.remote.put(async (talk) => {
      await gate.promise
      await talk.send(mixed(bytes, { headers: announcing(bytes.length) }))
    })
    const first = download(media)
    await eventually(() => world.remote.asked(media) === 1)
    const second = download(media, BOB)
    await world.app.ask('/_matrix/media/v3/config', { token: BOB.token })
    gate.resolve()
    expect([(await first).status, (await second).status]).toEqual([200, 200])
    expect(world.remote.asked(media)).toBe(1)
    expect(await statusOf(put(900_000))).toBe(429)
    expect(await statusOf(put(900_000), BOB)).toBe(200)
  })

  test('is not had by asking twice at once, where there is no room for it', async () => {
    expect(await statusOf(put(900_000))).toBe(200)
    const media = put(400_000)
    const statuses = await Promise.all(Array.from({ length: 5 }, () => statusOf(media)))
    expect(statuses).toEqual([429, 429, 429, 429, 429])
    expect(isStored(media)).toBe(false)
  })

  test('counts by address where nobody says who it is', async () => {
    expect(await from(put(1_050_000), '2001:db8:1:1::1')).toBe(200)
    expect(await from(put(10), '2001:db8:1:1::2')).toBe(429)
    expect(await from(put(10), '2001:db8:1:2::1')).toBe(200)
    expect(await statusOf(put(10))).toBe(200)
  })

  test('is limited no more once the configuration says so', async () => {
    expect(await statusOf(put(1_050_000))).toBe(200)
    expect(await statusOf(put(10))).toBe(429)
    const federation = { disallowedNetworks: [] }
    await world.app.reload({ ...config, federation, rateLimit: { ...rateLimit, enabled: false } })
    expect(await statusOf(put(10))).toBe(200)
  })
})

const announcing = (length: number) => ['Content-Type: image/png', `Content-Length: ${length}`]

/** Says how long a file is, sends a little of it, and waits to be hung up on. */
function endless(length: number): { readonly script: Script; readonly hungUp: Promise<void> } {
  const hungUp = Promise.withResolvers<void>()
  const body = mixedBody(Buffer.alloc(length), { headers: announcing(length) })
  const script: Script = async (talk) => {
    await talk.send(
      head(200, ['Content-Type: multipart/mixed; boundary=gc0p4Jq0M2Yt08jU534c0p', `Content-Length: ${body.length}`]),
    )
    await talk.send(body.subarray(0, 1000))
    await talk.onceHungUp
    hungUp.resolve()
  }
  return { script, hungUp: hungUp.promise }
}
