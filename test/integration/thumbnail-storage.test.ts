import { createHash } from 'node:crypto'
import { readFile, rm, truncate } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { recordSyncs } from '../contract/folder.ts'
import { ALICE, eventually, heldClock, startApp, type TestApp } from '../support/app.ts'
import { temporaryFolder } from '../support/folder.ts'
import { noise } from '../support/images.ts'

const DAY_MS = 86_400_000

const cleanup = new AsyncDisposableStack()
let app: TestApp
let folder: string
const clock = heldClock()
beforeAll(async () => {
  folder = cleanup.use(await temporaryFolder()).path
  app = await start()
})
afterAll(async () => {
  await app[Symbol.asyncDispose]()
  await cleanup.disposeAsync()
})

const start = () =>
  startApp({ clock, folder, config: { downloads: { cache: { enabled: false } }, thumbnails: { expireAfterDays: 3 } } })

/** So that it is due at the next start. */
function forgetJob(): void {
  using db = new DatabaseSync(join(folder, 'data', 'cellarium.sqlite'))
  db.exec("DELETE FROM jobs WHERE name = 'thumbnails'")
}

async function restart(): Promise<void> {
  await app[Symbol.asyncDispose]()
  app = await start()
}

const picture = () => noise({ width: 400, height: 300 }).png().toBuffer()
const ask = (media: string, size = 32, headers: Record<string, string> = {}) =>
  app.ask(`/_matrix/client/v1/media/thumbnail/${media}?width=${size}&height=${size}`, { token: ALICE.token, headers })
const generated = () => app.log().split('"msg":"thumbnail generated"').length - 1

/** The file of the thumbnail of some media. */
async function fileOf(media: string): Promise<string> {
  const [row] = app.sql(
    `SELECT o.location FROM media m JOIN thumbnails t ON t.source_sha256 = m.sha256 JOIN objects o ON o.sha256 = t.sha256
     WHERE m.media_id = ?`,
    media.split('/')[1] ?? '',
  )
  const file = (await app.files()).find((path) => path.endsWith(String(row?.['location'])))
  if (file === undefined) throw new Error(`no thumbnail of ${media} is stored`)
  return file
}

describe('A thumbnail', () => {
  test('whose file is gone is made anew for the first who asks, and stored', async () => {
    const media = await app.upload(await picture())
    const before = await ask(media)
    await rm(await fileOf(media))
    // A file that was just read is still open, and sent although it has no name any more.
    await restart()
    const made = generated()
    const again = await ask(media)
    expect([again.status, again.body.equals(before.body), again.headers['etag']]).toEqual([
      200,
      true,
      before.headers['etag'],
    ])
    expect((await readFile(await fileOf(media))).equals(before.body)).toBe(true)
    expect((await ask(media)).status).toBe(200)
    expect(generated()).toBe(made + 1)
  })

  test('waits for no disk; when somebody uploads its bytes, they are on one before the answer', async () => {
    await using place = await temporaryFolder()
    await using alone = await startApp({ folder: place.path })
    const [media, other] = [await alone.upload(await picture()), await alone.upload(await picture())]
    const asked = (of: string) =>
      alone.ask(`/_matrix/client/v1/media/thumbnail/${of}?width=32&height=32`, { token: ALICE.token })
    const synced = await recordSyncs(join(place.path, 'data', 'media'))
    const made = await asked(media)
    expect([made.status, (await asked(other)).status]).toEqual([200, 200])
    expect(synced).toEqual([])
    await alone.upload(made.body)
    const hash = createHash('sha256').update(made.body).digest('hex')
    const [{ location = '' } = {}] = alone.sql('SELECT location FROM objects WHERE sha256 = ?', hash)
    expect(synced).toEqual([location, dirname(String(location))])
    vi.restoreAllMocks()
  })

  test('that a power failure left empty is made anew', async () => {
    const media = await app.upload(await picture())
    const before = await ask(media)
    await truncate(await fileOf(media))
    await restart()
    const again = await ask(media)
    expect([again.status, again.body.equals(before.body)]).toEqual([200, true])
    expect((await readFile(await fileOf(media))).equals(before.body)).toBe(true)
  })

  test('whose file is gone and that now comes out differently is not sent under the old name', async () => {
    const media = await app.upload(await picture())
    await ask(media)
    const [id = ''] = media.split('/').slice(1)
    const file = await fileOf(media)
    // As an older version made it, whose file is gone.
    app.sql(`INSERT INTO objects (sha256, size, datastore, location, created_at)
      SELECT 'older', size, datastore, 'nowhere', created_at FROM objects LIMIT 1`)
    app.sql(
      `UPDATE thumbnails SET sha256 = 'older' WHERE source_sha256 = (SELECT sha256 FROM media WHERE media_id = ?)`,
      id,
    )
    const first = await ask(media)
    expect(first).toMatchObject({ status: 503, headers: { 'retry-after': '1' } })
    expect((await ask(media)).body.equals(await readFile(file))).toBe(true)
    expect(app.sql(`SELECT * FROM objects WHERE sha256 = 'older'`)).toEqual([])
  })

  test('goes with the last name of its source, its file too', async () => {
    const bytes = await picture()
    const first = await app.upload(bytes)
    const second = await app.upload(bytes, { token: 'syt_bob_Xz3k' })
    await ask(first)
    const file = await fileOf(first)
    const remove = (media: string, token: string) =>
      app.ask(`/_matrix/media/unstable/download/${media}`, { method: 'DELETE', token })
    expect((await remove(first, ALICE.token)).status).toBe(200)
    expect((await ask(second)).status).toBe(200)
    expect(await app.files()).toContain(file)
    expect((await remove(second, 'syt_bob_Xz3k')).status).toBe(200)
    expect(await app.files()).not.toContain(file)
  })

  test('that nobody used for thumbnails.expireAfterDays goes by itself, and is made again for who asks', async () => {
    const [unused, used] = [await app.upload(await picture()), await app.upload(await picture())]
    for (const media of [unused, used]) await ask(media)
    const file = await fileOf(unused)
    clock.wait(2 * DAY_MS)
    await ask(used)
    // The end writes down what was used; the jobs that are due run soon after the start.
    await app[Symbol.asyncDispose]()
    clock.wait(2 * DAY_MS)
    forgetJob()
    app = await start()
    await eventually(async () => !(await app.files()).includes(file), 60_000)
    await eventually(() => app.log().includes('"msg":"thumbnails that were not used for long are removed"'), 30_000)
    const made = generated()
    expect((await ask(used)).status).toBe(200)
    expect(generated()).toBe(made)
    expect((await ask(unused)).status).toBe(200)
    expect(generated()).toBe(made + 1)
  })
})
