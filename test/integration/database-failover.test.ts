import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { startGate } from '../support/gate.ts'
import { type Place, startPlace, untilHealth } from '../support/place.ts'
import { startPostgres } from '../support/postgres.ts'
import { describeWith } from '../support/services.ts'

const LONG = { timeout: 240_000 }
const SENDERS = 8

/** Two servers, the second with all that the first has answered for, and one address that leads to the first. */
async function openPair() {
  await using cleanup = new AsyncDisposableStack()
  const primary = await startPostgres({ fsync: true })
  if (!primary) throw new Error('PostgreSQL was there a moment ago')
  cleanup.use(primary)
  const standby = cleanup.use(await primary.startStandby())
  const gate = cleanup.use(await startGate(portOf(primary.url)))
  const url = new URL(primary.url)
  url.port = String(gate.port)
  const owned = cleanup.move()
  return { primary, standby, gate, url: url.href, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

const portOf = (url: string) => Number(new URL(url).port)

/** Uploads new files all the time, until told to stop; gives what was acknowledged. */
function keepUploading({ alice }: Place) {
  const kept = new Map<string, Buffer>()
  const refused: number[] = []
  const stopping = new AbortController()
  const send = async () => {
    while (!stopping.signal.aborted) {
      const bytes = randomBytes(2000)
      const { status, media } = await alice.upload(bytes)
      if (status === 200) kept.set(media, bytes)
      else refused.push(status)
    }
  }
  const senders = Array.from({ length: SENDERS }, send)
  return {
    kept,
    refused,
    stop: async () => {
      stopping.abort()
      await Promise.all(senders)
    },
  }
}

describeWith('postgres', 'When PostgreSQL fails over to a standby', () => {
  test('after a crash, everything works again without a restart, and nothing acknowledged is lost', LONG, async () => {
    await using pair = await openPair()
    await using place = await startPlace({ database: { postgres: pair.url } })
    const uploads = keepUploading(place)
    await expect.poll(() => uploads.kept.size, { timeout: 60_000 }).toBeGreaterThan(50)
    await pair.primary.kill()
    await pair.gate.close()
    await untilHealth(place.server, 503)
    const before = uploads.kept.size
    await pair.standby.promote()
    pair.gate.lead(portOf(pair.standby.url))
    await pair.gate.open()
    await untilHealth(place.server, 200)
    await expect.poll(() => uploads.kept.size, { timeout: 60_000 }).toBeGreaterThan(before + 50)
    await uploads.stop()
    // Nothing but the clear answer to an outage.
    expect(new Set(uploads.refused)).toEqual(new Set([503]))
    for (const [media, bytes] of uploads.kept) {
      expect(await place.alice.download(media)).toEqual({ status: 200, body: bytes })
    }
  })

  test(
    'its address leads to the standby before that takes over: files are served, uploads wait for it',
    LONG,
    async () => {
      await using pair = await openPair()
      await using place = await startPlace({ database: { postgres: pair.url } })
      const bytes = randomBytes(2000)
      const { media } = await place.alice.upload(bytes)
      pair.gate.lead(portOf(pair.standby.url))
      // Connections of before end, as they do where the old primary is shut down.
      await pair.gate.close()
      await pair.gate.open()
      await expect.poll(async () => (await place.alice.upload(randomBytes(2000))).status).toBe(503)
      expect(await place.alice.download(media)).toEqual({ status: 200, body: bytes })
      await pair.standby.promote()
      await expect.poll(async () => (await place.alice.upload(randomBytes(2000))).status, { timeout: 60_000 }).toBe(200)
      await untilHealth(place.server, 200)
    },
  )
})
