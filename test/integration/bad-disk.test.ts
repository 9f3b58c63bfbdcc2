import { randomBytes } from 'node:crypto'
import { chmod, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../support/folder.ts'
import { type Place, startPlace } from '../support/place.ts'
import { runProgram } from '../support/processes.ts'
import { describeWith, requireService } from '../support/services.ts'

const health = async (place: Place) => {
  const answer = await fetch(`${place.server.url}/healthz`)
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
}

const timesLogged = (place: Place, text: string) => place.server.lines.filter((line) => line.includes(text)).length

/** Downloads again and again while 150 uploads wait for the disk; gives how many downloads ended before the uploads did. */
async function downloadsMeanwhile(place: Place, media: string): Promise<number> {
  const done = new AbortController()
  const uploads = Array.from({ length: 150 }, () => place.alice.upload(randomBytes(2000)))
  const uploaded = Promise.all(uploads).finally(() => done.abort())
  const healthy = health(place)
  let downloads = 0
  while (!done.signal.aborted) {
    expect((await place.bob.download(media)).status).toBe(200)
    if (!done.signal.aborted) downloads++
  }
  expect((await healthy).status).toBe(200)
  expect(new Set((await uploaded).map(({ status }) => status))).toEqual(new Set([200]))
  return downloads
}

const ROUNDS = 6

describeWith('strace', 'A disk that takes 50 ms for each sync', () => {
  test(
    'makes uploads slow, and nothing else: downloads and health checks go on meanwhile',
    { timeout: 300_000 },
    async () => {
      const strace = [requireService('strace'), '-D', '-f', '--seccomp-bpf', '-qq', '-o', '/dev/null']
      const wrap = [...strace, '-e', 'trace=fsync,fdatasync', '-e', 'inject=fsync,fdatasync:delay_enter=50000']
      await using place = await startPlace({}, { wrap })
      const { media } = await place.alice.upload(randomBytes(300_000))
      // Were they to wait for the syncs, they would come after the uploads, in each round. Where the machine has other things
      // to do a download may well take seconds, but not in each.
      let most = 0
      for (let round = 0; round < ROUNDS && most <= 2; round++) {
        most = Math.max(most, await downloadsMeanwhile(place, media))
      }
      expect(most).toBeGreaterThan(2)
      expect((await health(place)).body).toMatchObject({ database: 'up', datastores: { media: 'up' } })
    },
  )
})

/** Root may do everything, whatever the permissions say; without these rights it is held to them like everybody. */
const ORDINARY = ['setpriv', '--bounding-set', '-dac_override,-dac_read_search', '--']
const asRoot = process.getuid?.() === 0

test.skipIf(process.platform !== 'linux')(
  'A folder that the server may not write to any more fails uploads with 503, is told, and works again without a restart',
  async () => {
    await using place = await startPlace({}, asRoot ? { wrap: ORDINARY } : {})
    const bytes = randomBytes(100_000)
    const { media } = await place.alice.upload(bytes)
    const before = await place.files()
    const staging = join(place.mediaFolder, '.staging')
    await chmod(staging, 0o500)
    try {
      for (let round = 0; round < 3; round++) expect((await place.alice.upload(randomBytes(1000))).status).toBe(503)
      expect(await place.files()).toEqual(before)
      expect(await place.alice.download(media)).toEqual({ status: 200, body: bytes })
      expect(await health(place)).toMatchObject({ status: 200, body: { ok: true, datastores: { media: 'down' } } })
      await expect.poll(() => timesLogged(place, 'the datastore cannot be used')).toBe(1)
      const complaint = () => place.server.lines.find((line) => line.includes('cannot be used'))
      await expect.poll(complaint, { timeout: 30_000 }).toContain('EACCES')
    } finally {
      await chmod(staging, 0o750)
    }
    expect((await place.alice.upload(randomBytes(1000))).status).toBe(200)
    expect((await health(place)).body).toMatchObject({ datastores: { media: 'up' } })
    expect(timesLogged(place, 'internal error')).toBe(0)
  },
)

test.skipIf(process.platform !== 'linux')(
  'A file that the server may not read any more is 503, not 404: nobody must take it for lost',
  async () => {
    await using place = await startPlace({}, asRoot ? { wrap: ORDINARY } : {})
    const bytes = randomBytes(100_000)
    const { media } = await place.alice.upload(bytes)
    const [path = ''] = await place.objects()
    await chmod(join(path, '..'), 0o000)
    try {
      expect((await place.alice.download(media)).status).toBe(503)
      // Nor is it stored a second time.
      expect((await place.alice.upload(bytes, 'again.bin')).status).toBe(503)
    } finally {
      await chmod(join(path, '..'), 0o750)
    }
    expect(await place.alice.download(media)).toEqual({ status: 200, body: bytes })
    expect(await place.objects()).toEqual([path])
  },
)

describeWith('mount', 'A disk that is taken away while the server runs', () => {
  test('makes its files 503, not 404, is told with what to look at, and is used again once it is back', async () => {
    await using disk = await startBoundDisk()
    const media = { id: 'media', type: 'file', forKinds: ['all'], opts: { path: disk.path } }
    await using place = await startPlace({ datastores: [media] }, { mediaFolder: disk.path })
    const bytes = randomBytes(300_000)
    const { media: stored } = await place.alice.upload(bytes)
    await disk.takeAway()
    expect((await place.bob.download(stored)).status).toBe(503)
    expect((await place.alice.upload(randomBytes(1000))).status).toBe(503)
    // What is known to be there is not stored a second time, in the folder below.
    expect((await place.alice.upload(bytes, 'again.bin')).status).toBe(503)
    expect(await readdir(disk.path)).toEqual([])
    expect(await health(place)).toMatchObject({ status: 200, body: { datastores: { media: 'down' } } })
    const complaint = () => place.server.lines.find((line) => line.includes('cannot be used'))
    await expect.poll(complaint).toContain(`${disk.path} is not the folder that it was`)
    await disk.giveBack()
    await expect.poll(async () => (await health(place)).body).toMatchObject({ datastores: { media: 'up' } })
    expect(await place.bob.download(stored)).toEqual({ status: 200, body: bytes })
    expect((await place.alice.upload(randomBytes(1000))).status).toBe(200)
    expect(await place.objects()).toHaveLength(2)
  })
})

/** A folder that shows another one, as one does that a disk is mounted on. */
async function startBoundDisk() {
  await using cleanup = new AsyncDisposableStack()
  const [{ path }, disk] = [cleanup.use(await temporaryFolder()), cleanup.use(await temporaryFolder())]
  const giveBack = () => runProgram({ command: ['mount', '--bind', disk.path, path] })
  // Lazily: the server keeps files open that it read a moment ago.
  const takeAway = () => runProgram({ command: ['umount', '-l', path] })
  await giveBack()
  cleanup.defer(async () => void (await takeAway().catch(() => {})))
  const owned = cleanup.move()
  return { path, giveBack, takeAway, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
