import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { noise } from '../support/images.ts'
import { type Place, startPlace } from '../support/place.ts'
import { describeWith } from '../support/services.ts'
import { type SmallDisk, startSmallDisk } from '../support/small-disk.ts'

const MIB = 1024 * 1024

async function health(place: Place) {
  const answer = await fetch(`${place.server.url}/healthz`)
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
}

const timesLogged = (place: Place, text: string) => place.server.lines.filter((line) => line.includes(text)).length

/** Sends a file and gives the whole answer. */
async function upload(place: Place, body: Uint8Array) {
  const answer = await fetch(`${place.server.url}/_matrix/media/v3/upload`, {
    method: 'POST',
    body: new Uint8Array(body),
    headers: { authorization: 'Bearer alice-token', 'x-forwarded-host': 'example.org' },
  })
  const json = (await answer.json()) as Record<string, unknown>
  return { status: answer.status, retryAfter: answer.headers.get('retry-after'), json }
}

const thumbnailOf = async (place: Place, media: string) =>
  (
    await fetch(`${place.server.url}/_matrix/client/v1/media/thumbnail/${media}?width=32&height=32&method=crop`, {
      headers: { authorization: 'Bearer alice-token', 'x-forwarded-host': 'example.org' },
    })
  ).status

const folder = (id: string, path: string, forKinds = ['all']) => ({ id, type: 'file', forKinds, opts: { path } })

async function onDisk(disk: SmallDisk): Promise<Place> {
  const mediaFolder = join(disk.path, 'media')
  return await startPlace({ datastores: [folder('small', mediaFolder)] }, { mediaFolder })
}

describeWith('mount', 'On a disk that is full', () => {
  test.for([
    ['has no room at all', 0, 50_000],
    ['runs out of room in the middle of a file', 2 * MIB, 5 * MIB],
    ['runs out of room in the middle of a large file', 3 * MIB, 9 * MIB],
  ])(
    'an upload that %s says so and leaves nothing; reading goes on, and room is used at once',
    async ([, left, size]) => {
      await using disk = await startSmallDisk(24 * MIB)
      await using place = await onDisk(disk)
      const kept = randomBytes(300_000)
      const { media } = await place.alice.upload(kept)
      const before = await place.files()

      await disk.fill(Number(left))
      for (let round = 0; round < 3; round++) {
        expect(await upload(place, randomBytes(Number(size)))).toMatchObject({
          status: 503,
          retryAfter: expect.stringMatching(/^[1-9]\d*$/),
          json: { errcode: 'M_UNKNOWN', error: expect.stringContaining('full'), retry_after_ms: expect.any(Number) },
        })
      }
      expect(await place.files()).toEqual(before)
      expect(await place.alice.download(media)).toEqual({ status: 200, body: kept })
      expect(timesLogged(place, 'internal error')).toBe(0)

      await disk.fill(12 * MIB)
      expect((await upload(place, randomBytes(Number(size)))).status).toBe(200)
    },
  )

  test('is named by healthz and once in the log, and so is its end, without a request that needs it', async () => {
    await using disk = await startSmallDisk(8 * MIB)
    await using place = await onDisk(disk)
    expect((await health(place)).body).toMatchObject({ ok: true, datastores: { small: 'up' } })
    await disk.fill()
    for (let round = 0; round < 5; round++) expect((await upload(place, randomBytes(50_000))).status).toBe(503)
    expect(await health(place)).toMatchObject({ status: 200, body: { ok: true, datastores: { small: 'full' } } })
    // Lines are written together, a little later.
    await expect.poll(() => timesLogged(place, 'the datastore cannot be used')).toBe(1)
    const complaint = () => place.server.lines.find((line) => line.includes('cannot be used'))
    await expect.poll(complaint, { timeout: 30_000 }).toContain('ENOSPC')

    await disk.fill(4 * MIB)
    await expect.poll(() => timesLogged(place, 'the datastore can be used again'), { timeout: 60_000 }).toBe(1)
    expect(timesLogged(place, 'the datastore cannot be used')).toBe(1)
    expect((await health(place)).body).toMatchObject({ datastores: { small: 'up' } })
  })

  test('a thumbnail that cannot be stored is 503, and works once there is room', async () => {
    await using disk = await startSmallDisk(8 * MIB)
    await using place = await onDisk(disk)
    const { media } = await place.alice.upload(await noise({ width: 400, height: 400 }).png().toBuffer())
    await disk.fill()
    expect(await thumbnailOf(place, media)).toBe(503)
    await disk.fill(2 * MIB)
    expect(await thumbnailOf(place, media)).toBe(200)
  })

  test('uploads go to another datastore, if there is one', async () => {
    await using disk = await startSmallDisk(8 * MIB)
    await using other = await startSmallDisk(16 * MIB)
    const mediaFolder = join(other.path, 'media')
    const datastores = [folder('small', join(disk.path, 'media')), folder('other', mediaFolder)]
    await using place = await startPlace({ datastores }, { mediaFolder })
    await disk.fill()
    // Nothing is in either of them: whichever is tried, the full one is left out from then on.
    await upload(place, randomBytes(50_000))
    for (let round = 0; round < 5; round++) expect((await upload(place, randomBytes(50_000))).status).toBe(200)
    expect((await place.objects()).length).toBeGreaterThanOrEqual(5)
  })

  test('the records take nothing more, uploads leave nothing, what is stored is served, and it heals', async () => {
    await using disk = await startSmallDisk(8 * MIB)
    await using place = await startPlace({ database: { sqlite: join(disk.path, 'db', 'cellarium.sqlite') } })
    const bytes = randomBytes(100_000)
    const { media } = await place.alice.upload(bytes)
    const before = await place.files()
    await disk.fill()
    const stored: string[] = []
    // The database's log may have room left of its own.
    await expect
      .poll(
        async () => {
          const { status, media: more } = await place.alice.upload(randomBytes(1000))
          if (status === 200) stored.push(more)
          return status
        },
        { timeout: 30_000 },
      )
      .toBe(503)
    expect(await upload(place, randomBytes(1000))).toMatchObject({ status: 503, retryAfter: expect.any(String) })
    expect(await place.files()).toHaveLength(before.length + stored.length)
    expect(await place.alice.download(media)).toEqual({ status: 200, body: bytes })
    expect(await health(place)).toMatchObject({ status: 200, body: { ok: true, database: 'read-only' } })
    expect(timesLogged(place, 'internal error')).toBe(0)

    await disk.fill(4 * MIB)
    expect((await upload(place, randomBytes(1000))).status).toBe(200)
    expect((await health(place)).body).toMatchObject({ database: 'up' })
    for (const kept of stored) expect((await place.alice.download(kept)).status).toBe(200)
  })
})

describeWith('mount', 'On a disk that may only be read any more', () => {
  test('uploads fail with 503 and leave nothing, downloads go on, and it is told; writable again, all works', async () => {
    await using disk = await startSmallDisk(8 * MIB)
    await using place = await onDisk(disk)
    const bytes = randomBytes(100_000)
    const { media } = await place.alice.upload(bytes)
    const before = await place.files()
    // The server closes what it has written a moment after its answer.
    await vi.waitFor(() => disk.setReadOnly(true), 10_000)
    for (let round = 0; round < 3; round++) expect((await upload(place, randomBytes(1000))).status).toBe(503)
    expect(await place.files()).toEqual(before)
    expect(await place.alice.download(media)).toEqual({ status: 200, body: bytes })
    expect(await health(place)).toMatchObject({ status: 200, body: { datastores: { small: 'down' } } })
    await expect.poll(() => timesLogged(place, 'the datastore cannot be used')).toBe(1)
    await disk.setReadOnly(false)
    expect((await upload(place, randomBytes(1000))).status).toBe(200)
  })
})
