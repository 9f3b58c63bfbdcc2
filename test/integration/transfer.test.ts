import { createHash, randomBytes } from 'node:crypto'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { ALICE, BOB, type Answered, eventually, startApp, type TestApp } from '../support/app.ts'
import { temporaryFolder } from '../support/folder.ts'
import { quarters } from '../support/images.ts'
import { startS3Double } from '../support/s3-double.ts'
import { describeWith } from '../support/services.ts'
import { startSmallDisk } from '../support/small-disk.ts'
import { filesBelow } from '../support/place.ts'
import { startVersitygw } from '../support/versitygw.ts'

const PREFIXES = ['/_matrix/media/unstable', '/_matrix/media/unstable/io.t2bot.media']
const ADMIN = `${PREFIXES[0]}/admin`

interface Move extends AsyncDisposable {
  readonly app: TestApp
  /** Asks as Alice, who administers the repository. */
  readonly ask: (method: string, path: string) => Promise<Answered>
  /** The file of some media. */
  readonly fileOf: (media: string) => string
  readonly placesOf: () => Record<string, number>
  /** Begins a transfer and waits for its end. */
  readonly transfer: (query?: string) => Promise<EndedTask>
}

interface EndedTask {
  readonly start_ts: number
  readonly end_ts: number
  readonly error_message: string
  readonly progress: { readonly failures: readonly { readonly sha256: string; readonly error: string }[] }
}

/** A server with the datastores `old` (which has everything so far) and `new`. */
async function start(other?: Record<string, unknown>): Promise<Move> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  const config = {
    admins: [ALICE.userId],
    datastores: [
      { type: 'file', id: 'old', forKinds: ['all'], opts: { path: join(folder, 'old') } },
      { type: 'file', id: 'new', forKinds: [], opts: { path: join(folder, 'new') }, ...other },
    ],
  }
  const app = cleanup.use(await startApp({ config, folder }))
  const ask = (method: string, path: string) => app.ask(path, { method, token: ALICE.token })
  const owned = cleanup.move()
  return {
    app,
    ask,
    fileOf: (media) => {
      const [row] = app.sql(
        'SELECT datastore, location FROM objects JOIN media USING (sha256) WHERE media_id = ?',
        media.split('/')[1] ?? '',
      )
      return join(folder, String(row?.['datastore']), String(row?.['location']))
    },
    placesOf: () =>
      Object.fromEntries(
        app
          .sql('SELECT datastore, count(*) AS count FROM objects GROUP BY datastore')
          .map((row) => [row['datastore'], row['count']]),
      ),
    transfer: async (query = '') => {
      const begun = await ask('POST', `${ADMIN}/datastores/old/transfer_to/new${query}`)
      expect(begun.status).toBe(200)
      const task = async () => (await ask('GET', `${ADMIN}/tasks/${String(begun.json['task_id'])}`)).json
      await eventually(async () => (await task())['is_finished'], 30_000)
      return (await task()) as unknown as EndedTask
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const jpeg = async () => await (await quarters({ width: 100, height: 80 })).jpeg().toBuffer()
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const download = async ({ app }: Move, media: string) =>
  await app.ask(`/_matrix/client/v1/media/download/${media}`, { token: ALICE.token })

describe('Administrators of the repository', () => {
  test('see the datastores, by MMR’s paths and in its shape', async () => {
    await using move = await start()
    for (const prefix of PREFIXES) {
      const { status, json } = await move.ask('GET', `${prefix}/admin/datastores`)
      expect(status).toBe(200)
      expect(json).toEqual({
        old: { type: 'file', uri: join(move.app.folder, 'old') },
        new: { type: 'file', uri: join(move.app.folder, 'new') },
      })
    }
  })

  test('are told what a transfer would move, shared content once', async () => {
    await using move = await start()
    const picture = await jpeg()
    const media = await move.app.upload(picture, { name: 'a' })
    await move.app.upload(picture, { name: 'b' })
    const size = `/_matrix/client/v1/media/thumbnail/${media}?width=32&height=32&method=crop`
    const thumbnail = await move.app.ask(size, { token: ALICE.token })
    expect(thumbnail.status).toBe(200)
    for (const prefix of PREFIXES) {
      const { json } = await move.ask('GET', `${prefix}/admin/datastores/old/size_estimate`)
      expect(json).toEqual({
        thumbnails_affected: 1,
        thumbnail_hashes_affected: 1,
        thumbnail_bytes: thumbnail.body.length,
        media_affected: 2,
        media_hashes_affected: 1,
        media_bytes: picture.length,
        total_hashes_affected: 2,
        total_bytes: picture.length + thumbnail.body.length,
      })
    }
    const { json } = await move.ask('GET', `${ADMIN}/datastores/old/size_estimate?before_ts=1000`)
    // Nobody wrote down when the thumbnail was last asked for.
    expect(json).toMatchObject({ media_affected: 0, thumbnails_affected: 1, total_hashes_affected: 1 })
  })

  test('are the only ones who may', async () => {
    await using move = await start()
    const paths = ['GET admin/datastores', 'GET admin/datastores/old/size_estimate', 'GET admin/tasks/all']
    paths.push('POST admin/datastores/old/transfer_to/new', 'GET admin/tasks/unfinished', 'DELETE admin/tasks/1')
    for (const each of paths) {
      const [method = '', path = ''] = each.split(' ')
      for (const prefix of PREFIXES) {
        const asBob = await move.app.ask(`${prefix}/${path}`, { method, token: BOB.token })
        expect([each, asBob.status, asBob.json['errcode']]).toEqual([each, 403, 'M_FORBIDDEN'])
        expect((await move.app.ask(`${prefix}/${path}`, { method })).status).toBe(401)
      }
    }
    expect(move.app.sql('SELECT * FROM tasks')).toEqual([])
  })

  test.each([
    ['POST', 'datastores/old/transfer_to/old', 400, 'Source and target datastore cannot be the same'],
    ['POST', 'datastores/old/transfer_to/none', 400, 'Target datastore none is not configured'],
    ['POST', 'datastores/none/transfer_to/new', 400, 'Source datastore none is not configured'],
    ['POST', 'datastores/old/transfer_to/new?before_ts=soon', 400, 'before_ts must be a whole number'],
    ['GET', 'datastores/none/size_estimate', 400, 'Datastore none is not configured'],
    ['GET', 'tasks/7', 404, 'There is no task 7'],
    ['GET', 'tasks/x', 400, 'taskId must be a whole number'],
    ['DELETE', 'tasks/7', 404, 'There is no task 7'],
  ])('are told what is wrong with %s %s', async (method, path, status, error) => {
    await using move = await start()
    const answer = await move.ask(method, `${ADMIN}/${path}`)
    expect([answer.status, answer.json['error']]).toEqual([status, error])
  })
})

describe('A transfer', () => {
  test('moves everything, thumbnails and shared content too, and says so in the task', async () => {
    await using move = await start()
    const files = [randomBytes(3_000_000), randomBytes(1), Buffer.alloc(0), await jpeg()]
    const media = await Promise.all(files.map((bytes) => move.app.upload(bytes)))
    const twin = await move.app.upload(files[0] ?? '', { token: BOB.token })
    const size = `/_matrix/client/v1/media/thumbnail/${media[3]}?width=32&height=32&method=crop`
    expect((await move.app.ask(size, { token: ALICE.token })).status).toBe(200)
    const began = Date.now()
    const task = await move.transfer()
    const bytes = move.app.sql('SELECT sum(size) AS bytes FROM objects')[0]?.['bytes']
    expect(task).toMatchObject({
      task_id: 1,
      task_name: 'storage_migration',
      params: { source_datastore_id: 'old', target_datastore_id: 'new' },
      is_finished: true,
      error_message: '',
      progress: { objects: 5, moved: 5, bytes, movedBytes: bytes, failed: 0, failures: [], skipped: 0 },
    })
    expect(task.start_ts).toBeGreaterThanOrEqual(began)
    expect(task.end_ts).toBeGreaterThanOrEqual(task.start_ts)
    expect(move.placesOf()).toEqual({ new: 5 })
    for (const [index, name] of [...media, twin].entries()) {
      const expected = files[index] ?? files[0]
      expect((await download(move, name)).body.equals(expected ?? Buffer.from('?'))).toBe(true)
    }
    expect((await move.app.ask(size, { token: ALICE.token })).status).toBe(200)
    expect((await move.ask('GET', `${ADMIN}/tasks/all`)).json).toEqual([task])
    expect((await move.ask('GET', `${ADMIN}/tasks/unfinished`)).json).toEqual([])
  })

  test('with before_ts moves what was not read since, and what nobody knows to have been read', async () => {
    await using move = await start()
    const [old, recent, unknown] = [randomBytes(10), randomBytes(11), randomBytes(12)]
    const media = await Promise.all([old, recent, unknown].map((bytes) => move.app.upload(bytes)))
    const [first, , third] = media.map((name) => name.split('/')[1] ?? '')
    move.app.sql('UPDATE media SET accessed_at = 5000 WHERE media_id = ?', first ?? '')
    move.app.sql('UPDATE media SET accessed_at = NULL WHERE media_id = ?', third ?? '')
    const task = await move.transfer('?before_ts=5001')
    expect(task).toMatchObject({ error_message: '', params: { before_ts: 5001 }, progress: { moved: 2, skipped: 1 } })
    expect(media.map((name) => move.fileOf(name).includes('/new/'))).toEqual([true, false, true])
  })

  test('leaves damaged and lost files where they are, moves the others, and names those in its error', async () => {
    await using move = await start()
    const bytes = [1, 2, 3, 4].map((size) => randomBytes(size * 1000))
    const media = await Promise.all(bytes.map((each) => move.app.upload(each)))
    const [damaged, cut, lost] = media.map(move.fileOf)
    await writeFile(damaged ?? '', randomBytes(1000))
    await writeFile(cut ?? '', randomBytes(999))
    await rm(lost ?? '')
    const task = await move.transfer()
    expect(task.progress).toMatchObject({ moved: 1, failed: 3 })
    expect(task.error_message).toMatch(/^1 object moved, 3 left where they are: /)
    const failures = new Map(task.progress.failures.map((each) => [each.sha256, each.error]))
    const [first, second, third] = bytes.map(sha256)
    expect(failures.get(first ?? '')).toContain('they were damaged')
    expect(failures.get(second ?? '')).toContain('it has 999 bytes, its record says 2000')
    expect(failures.get(third ?? '')).toContain('datastore old has no object')
    expect(move.placesOf()).toEqual({ new: 1, old: 3 })
    // Nothing of them is left in the new one either.
    const kept = await readdir(join(move.app.folder, 'new'), { recursive: true, withFileTypes: true })
    expect(kept.filter((entry) => entry.isFile())).toHaveLength(1)
    // Put right, the next transfer takes them along. What was read stays in memory for two seconds (decision 005).
    await pause(3000)
    await writeFile(damaged ?? '', bytes[0] ?? '')
    expect((await move.transfer()).progress).toMatchObject({ moved: 1, failed: 2 })
  })

  test('keeps the old bytes for ten minutes', async () => {
    await using move = await start()
    const bytes = randomBytes(1000)
    const media = await move.app.upload(bytes)
    const old = move.fileOf(media)
    await move.transfer()
    expect((await readFile(old)).equals(bytes)).toBe(true)
    const [unused] = move.app.sql('SELECT delete_after - unixepoch() * 1000 AS inMs FROM unused_objects')
    expect(unused?.['inMs']).toBeGreaterThan(8 * 60_000)
    expect((await readFile(move.fileOf(media))).equals(bytes)).toBe(true)
  })

  test('that is asked for twice at once is one task, and one that was cancelled ends with what it has done', async () => {
    await using move = await start()
    await move.app.upload(randomBytes(1000))
    move.app.sql(`INSERT INTO leases VALUES ('task storage_migration', 'somebody else', 9007199254740991)`)
    const begin = async () => (await move.ask('POST', `${ADMIN}/datastores/old/transfer_to/new`)).json['task_id']
    expect(await begin()).toBe(1)
    expect(await begin()).toBe(1)
    const unfinished = await move.ask('GET', `${ADMIN}/tasks/unfinished`)
    expect(unfinished.json).toMatchObject([{ task_id: 1, is_finished: false, end_ts: 0, error_message: '' }])
    expect((await move.ask('DELETE', `${ADMIN}/tasks/1`)).status).toBe(200)
    move.app.sql('DELETE FROM leases')
    await eventually(async () => (await move.ask('GET', `${ADMIN}/tasks/1`)).json['is_finished'], 30_000)
    expect((await move.ask('GET', `${ADMIN}/tasks/1`)).json['error_message']).toBe('cancelled')
    expect(move.placesOf()).toEqual({ old: 1 })
  })

  test('whose destination takes nothing stops, says why, and has lost nothing', async () => {
    await using move = await start()
    const media = await Promise.all(Array.from({ length: 30 }, () => move.app.upload(randomBytes(100))))
    // Root may write anywhere, but nobody into what is no folder.
    await rm(join(move.app.folder, 'new', '.staging'), { recursive: true })
    await writeFile(join(move.app.folder, 'new', '.staging'), '')
    const task = await move.transfer()
    expect(task.error_message).toMatch(/^stopped after 10 failures in a row, 0 objects moved: ENOTDIR/)
    expect(move.placesOf()).toEqual({ old: 30 })
    for (const each of media) expect((await download(move, each)).status).toBe(200)
    await rm(join(move.app.folder, 'new', '.staging'))
  })
})

describeWith('mount', 'A transfer to a disk that becomes full', () => {
  test('moves what fits, stops with the reason, and goes on when there is room', async () => {
    await using disk = await startSmallDisk(1024 * 1024)
    await using move = await start({ opts: { path: disk.path } })
    const files = Array.from({ length: 40 }, () => randomBytes(50_000))
    const media = await Promise.all(files.map((bytes) => move.app.upload(bytes)))
    const task = await move.transfer()
    expect(task.error_message).toMatch(/^stopped after 10 failures in a row, \d+ objects moved: ENOSPC/)
    const places = move.placesOf()
    expect(places['new']).toBeGreaterThan(5)
    expect(places['old']).toBe(40 - (places['new'] ?? 0))
    for (const [index, each] of media.entries()) {
      expect((await download(move, each)).body.equals(files[index] ?? Buffer.alloc(0))).toBe(true)
    }
    await disk.resize(10 * 1024 * 1024)
    expect(await move.transfer()).toMatchObject({ error_message: '', progress: { moved: places['old'] } })
    expect(move.placesOf()).toEqual({ new: 40 })
  })
})

/** Moves files to a bucket and back; `inspect` looks at what is in it meanwhile. */
async function thereAndBack(
  options: Readonly<Record<string, string>>,
  inspect: (files: readonly Buffer[], types: readonly string[]) => Promise<void>,
): Promise<void> {
  await using move = await start({ type: 's3', opts: options })
  const files = [await jpeg(), randomBytes(7_000_000), Buffer.alloc(0)]
  const types = ['image/jpeg', 'text/html', 'video/mp4']
  const media = await Promise.all(files.map((bytes, index) => move.app.upload(bytes, { type: types[index] ?? '' })))
  const expectAll = async () => {
    for (const [index, bytes] of files.entries()) {
      expect((await download(move, media[index] ?? '')).body.equals(bytes)).toBe(true)
    }
  }
  expect(await move.transfer()).toMatchObject({ error_message: '', progress: { moved: 3 } })
  expect(move.placesOf()).toEqual({ new: 3 })
  await inspect(files, types)
  await expectAll()
  const back = await move.ask('POST', `${ADMIN}/datastores/new/transfer_to/old`)
  const task = `${ADMIN}/tasks/${String(back.json['task_id'])}`
  await eventually(async () => (await move.ask('GET', task)).json['is_finished'], 30_000)
  expect((await move.ask('GET', task)).json).toMatchObject({ error_message: '', progress: { moved: 3 } })
  expect(move.placesOf()).toEqual({ old: 3 })
  await expectAll()
}

describe('A transfer to a bucket', () => {
  test('and back leaves every file as it was, and gives the bucket their types', async () => {
    await using double = await startS3Double()
    await thereAndBack(double.options, async (files, types) => {
      const stored = [...double.objects.values()]
      for (const [index, bytes] of files.entries()) {
        const kept = stored.find((object) => object.bytes.equals(bytes))
        // What a browser would run is kept without its type.
        expect(kept?.headers['content-type']).toBe(index === 1 ? 'application/octet-stream' : types[index])
      }
    })
  })
})

describeWith('versitygw', 'A transfer to a bucket of a real server', () => {
  test('and back leaves every file as it was', async () => {
    await using bucket = await startVersitygw()
    await thereAndBack({ ...bucket.options, prefixLength: '2' }, async (files) => {
      const kept = await filesBelow(bucket.folder)
      const contents = await Promise.all(kept.map((path) => readFile(path)))
      expect(contents.map(sha256).toSorted()).toEqual(files.map(sha256).toSorted())
    })
  })
})

describe('Downloads', () => {
  test('go on while everything moves, and find what moved after they looked', async () => {
    await using move = await start()
    const files = Array.from({ length: 60 }, () => randomBytes(20_000))
    const media = await Promise.all(files.map((bytes) => move.app.upload(bytes)))
    const ended = new AbortController()
    let downloads = 0
    const reading = (async () => {
      while (!ended.signal.aborted) {
        const index = downloads++ % files.length
        const { status, body } = await download(move, media[index] ?? '')
        expect([status, body.equals(files[index] ?? Buffer.alloc(0))]).toEqual([200, true])
      }
    })()
    expect(await move.transfer()).toMatchObject({ error_message: '', progress: { moved: 60 } })
    ended.abort()
    await reading
    expect(downloads).toBeGreaterThan(0)
  })
})
