import { randomBytes } from 'node:crypto'
import { truncate, unlink } from 'node:fs/promises'
import { expect, test, vi } from 'vitest'
import { type Gate, startGate } from '../support/gate.ts'
import { startPlace, untilHealth } from '../support/place.ts'
import { runProgram } from '../support/processes.ts'
import type { Server } from '../support/server.ts'
import { describeWith, freshDatabase } from '../support/services.ts'

test.for([
  ['deleted', (path: string) => unlink(path)],
  ['cut short', (path: string) => truncate(path, 40_000)],
  ['emptied', (path: string) => truncate(path, 0)],
] as const)(
  'A file that was %s on disk is not found, is named in the log, and heals by the same upload',
  async ([, harm]) => {
    await using place = await startPlace()
    const { alice, bob, server } = place
    const bytes = randomBytes(100_000)
    const { media } = await alice.upload(bytes, 'a.bin')
    const [path = '', ...more] = await place.objects()
    expect(more).toEqual([])
    await harm(path)

    expect(await alice.download(media)).toMatchObject({ status: 404 })
    await vi.waitFor(() => {
      const line = server.lines.find((text) => text.includes('an object is lost'))
      expect(line ?? 'no such line').toContain('uploading the same file again heals it')
      expect(line).toContain(path.slice(place.mediaFolder.length + 1))
    }, 10_000)

    const other = await bob.upload(bytes, 'b.bin')
    expect(other.status).toBe(200)
    expect(other.media).not.toBe(media)
    for (const healed of [media, other.media])
      expect(await alice.download(healed)).toEqual({ status: 200, body: bytes })
    expect(await alice.upload(bytes, 'a.bin')).toEqual({ status: 200, media })
  },
)

test('A disk that takes nothing more fails uploads and leaves nothing of them; what is stored is served, and uploads work again', async () => {
  await using place = await startPlace()
  const { alice, server } = place
  const bytes = randomBytes(300_000)
  const { media } = await alice.upload(bytes)
  const before = await place.files()
  await limitFiles(server, '0:unlimited')
  for (const size of [1, 1000, 2_000_000]) {
    expect((await alice.upload(randomBytes(size))).status).toBe(503)
  }
  expect(await place.files()).toEqual(before)
  expect(await alice.download(media)).toEqual({ status: 200, body: bytes })
  await limitFiles(server, 'unlimited')
  const later = await alice.upload(randomBytes(1000))
  expect(later.status).toBe(200)
  expect(await alice.download(later.media)).toMatchObject({ status: 200 })
  expect(await place.objects()).toHaveLength(2)
})

test('A disk that fills up between the bytes and their record leaves neither', async () => {
  await using place = await startPlace()
  const { alice, server } = place
  await alice.upload(randomBytes(1000))
  const before = await place.files()
  // Small files still fit; the database's log, which is longer by now, does not grow.
  await limitFiles(server, '4096:unlimited')
  expect((await alice.upload(randomBytes(1000))).status).toBe(503)
  expect(await place.files()).toEqual(before)
  await limitFiles(server, 'unlimited')
  expect((await alice.upload(randomBytes(1000))).status).toBe(200)
})

describeWith('postgres', 'When PostgreSQL goes away and comes back', () => {
  test('requests fail meanwhile, uploads leave nothing, and everything works again without a restart', async () => {
    await using database = await gatedDatabase()
    await using place = await startPlace({ database: { postgres: database.url } })
    const { alice, server } = place
    const bytes = randomBytes(1000)
    const { media } = await alice.upload(bytes)
    const before = await place.files()
    for (let outage = 0; outage < 2; outage++) {
      await database.gate.close()
      expect((await alice.upload(randomBytes(1000))).status).toBe(503)
      expect((await alice.download(media)).status).toBe(503)
      expect((await fetch(`${server.url}/healthz`)).status).toBe(503)
      expect(await place.files()).toEqual(before)
      await database.gate.open()
      await untilHealth(server, 200)
      expect(await alice.download(media)).toEqual({ status: 200, body: bytes })
    }
    const after = await alice.upload(randomBytes(1000))
    expect(after.status).toBe(200)
    expect(await alice.download(after.media)).toMatchObject({ status: 200 })
  })

  test('uploads that are under way fail or succeed, and those that succeeded are there', async () => {
    await using database = await gatedDatabase()
    await using place = await startPlace({ database: { postgres: database.url } })
    const { alice, server } = place
    const stored = new Map<string, Buffer>()
    const statuses = new Set<number>()
    const stopped = new AbortController()
    const uploading = Array.from({ length: 10 }, async () => {
      while (!stopped.signal.aborted) {
        const bytes = randomBytes(2000)
        const { status, media } = await alice.upload(bytes)
        statuses.add(status)
        if (status === 200) stored.set(media, bytes)
      }
    })
    for (let outage = 0; outage < 3; outage++) {
      const had = stored.size
      await vi.waitFor(() => expect(stored.size).toBeGreaterThan(had + 20), { timeout: 10_000 })
      await database.gate.close()
      await untilHealth(server, 503)
      await database.gate.open()
    }
    stopped.abort()
    await Promise.all(uploading)
    expect(statuses).toEqual(new Set([200, 503]))
    for (const [media, body] of stored) expect(await alice.download(media)).toEqual({ status: 200, body })
  })
})

/** How large files may get that the server writes to, from now on: 0 stands for a disk that is full. */
async function limitFiles(server: Server, limit: string): Promise<void> {
  await runProgram({ command: ['prlimit', '--pid', String(server.pid), `--fsize=${limit}`] })
}

/** A PostgreSQL database that can be taken away and given back. */
async function gatedDatabase(): Promise<{ readonly url: string; readonly gate: Gate } & AsyncDisposable> {
  await using cleanup = new AsyncDisposableStack()
  const url = new URL(cleanup.use(await freshDatabase()).url)
  const gate = cleanup.use(await startGate(Number(url.port || 5432)))
  url.hostname = '127.0.0.1'
  url.port = String(gate.port)
  const owned = cleanup.move()
  return { url: url.href, gate, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
