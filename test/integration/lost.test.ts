import { randomBytes } from 'node:crypto'
import { readdir, rename, rm, unlink, mkdir, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ALICE, eventually, heldClock, startApp, type TestApp } from '../support/app.ts'
import { quarters } from '../support/images.ts'

const MINUTE = 60_000

test('A file found missing twice is marked as lost, answered quickly from then on, and heals by the same upload', async () => {
  const { app, clock, media, path, bytes } = await startWithFiles()
  await using _ = app
  await unlink(path)
  for (let time = 0; time < 30; time++) expect((await download(app, media)).status).toBe(404)
  expect(lostIn(app)).toEqual([])
  clock.wait(MINUTE)
  expect((await download(app, media)).status).toBe(404)
  await eventually(() => lostIn(app).length === 1)
  await eventually(() => app.log().includes('an object is marked as lost'))

  // The file is back, and nobody looks for it.
  await writeFile(path, bytes)
  for (const method of ['GET', 'HEAD']) expect((await download(app, media, { method })).status).toBe(404)
  const tag = `"${String(app.sql('SELECT sha256 FROM objects WHERE lost_at IS NOT NULL')[0]?.['sha256'])}"`
  expect((await download(app, media, { headers: { 'if-none-match': tag } })).status).toBe(404)
  await eventually(() => app.log().includes('asked for an object that is marked as lost'))

  expect(await app.upload(bytes)).toBeDefined()
  expect((await download(app, media)).body).toEqual(bytes)
  expect(lostIn(app)).toEqual([])
})

test('A marked file that is there again is found after a while, without a command', async () => {
  const { app, clock, media, path, bytes } = await startWithFiles()
  await using _ = app
  await unlink(path)
  await untilMarked(app, clock, media)
  await writeFile(path, bytes)
  expect((await download(app, media)).status).toBe(404)
  clock.wait(11 * MINUTE)
  expect((await download(app, media)).body).toEqual(bytes)
  await eventually(() => lostIn(app).length === 0)
  await eventually(() => app.log().includes('is there again'))
})

test('A file that was cut short is marked as damaged too, and is not served when its size is right again by chance', async () => {
  const { app, clock, media, path } = await startWithFiles()
  await using _ = app
  await truncate(path, 100)
  await untilMarked(app, clock, media)
  expect(app.sql('SELECT damaged_at FROM objects WHERE lost_at IS NOT NULL')[0]?.['damaged_at']).toEqual(
    expect.any(Number),
  )
  await writeFile(path, randomBytes(5000))
  clock.wait(11 * MINUTE)
  expect((await download(app, media)).status).toBe(404)
})

test('Nothing is marked while a whole folder is not there, and everything is served again when it is back', async () => {
  const { app, clock, media, bytes } = await startWithFiles()
  await using _ = app
  const folder = join(app.folder, 'data', 'media')
  await rename(folder, `${folder}-elsewhere`)
  await mkdir(join(folder, '.staging'), { recursive: true })
  for (let time = 0; time < 4; time++) {
    expect((await download(app, media)).status).toBe(404)
    clock.wait(MINUTE)
  }
  await rm(folder, { recursive: true })
  // Not even the folder: nobody can tell what is in it.
  expect((await download(app, media)).status).toBe(503)
  await rename(`${folder}-elsewhere`, folder)
  expect((await download(app, media)).body).toEqual(bytes)
  expect(lostIn(app)).toEqual([])
})

test('A thumbnail that is lost is made anew, and one that is there is served although its source is lost', async () => {
  const { app, clock } = await startWithFiles()
  await using _ = app
  const media = await app.upload(await (await quarters({ width: 400, height: 300 })).png().toBuffer())
  const before = await app.files()
  const thumbnail = () =>
    app.ask(`/_matrix/client/v1/media/thumbnail/${media}?width=96&height=96&method=crop`, { token: ALICE.token })
  const first = await thumbnail()
  expect(first.status).toBe(200)
  const [made = ''] = (await app.files()).filter((path) => !before.includes(path))
  await unlink(made)
  await eventually(async () => {
    clock.wait(MINUTE)
    const { status } = await thumbnail()
    return status === 200 && (await app.files()).some((path) => !before.includes(path))
  }, 30_000)
  expect(await thumbnail()).toMatchObject({ status: 200, body: first.body })

  await unlink(join(app.folder, 'data', 'media', locationOf(app, media)))
  await untilMarked(app, clock, media)
  expect((await thumbnail()).body).toEqual(first.body)
})

/** A server with some files, of which one is to be harmed. */
async function startWithFiles() {
  const clock = heldClock()
  // What is kept in memory is served although its file is lost.
  const app = await startApp({ clock, config: { downloads: { cache: { enabled: false } } } })
  for (let number = 0; number < 5; number++) await app.upload(randomBytes(100))
  const bytes = randomBytes(5000)
  const media = await app.upload(bytes)
  const path = join(app.folder, 'data', 'media', locationOf(app, media))
  expect(await readdir(join(app.folder, 'data', 'media'))).toContain('.staging')
  return { app, clock, media, path, bytes }
}

function locationOf(app: TestApp, media: string): string {
  const [, mediaId = ''] = media.split('/')
  const [row] = app.sql(
    'SELECT location FROM objects JOIN media ON media.sha256 = objects.sha256 WHERE media_id = ?',
    mediaId,
  )
  return String(row?.['location'])
}

function download(app: TestApp, media: string, asked: { method?: string; headers?: Record<string, string> } = {}) {
  return app.ask(`/_matrix/client/v1/media/download/${media}`, { token: ALICE.token, ...asked })
}

async function untilMarked(app: TestApp, clock: ReturnType<typeof heldClock>, media: string): Promise<void> {
  await eventually(async () => {
    await download(app, media)
    clock.wait(10_000)
    return lostIn(app).length === 1
  }, 30_000)
}

function lostIn(app: TestApp): string[] {
  return app.sql('SELECT location FROM objects WHERE lost_at IS NOT NULL').map((row) => String(row['location']))
}
