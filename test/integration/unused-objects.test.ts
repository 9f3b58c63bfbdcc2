import { randomUUID } from 'node:crypto'
import { stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import type { Datastore } from '../../src/datastores/datastore.ts'
import { Datastores } from '../../src/datastores/datastores.ts'
import { openDatabase } from '../../src/db/connect.ts'
import { takeLease } from '../../src/db/leases.ts'
import { commitMedia, findMedia } from '../../src/db/media.ts'
import { addTask } from '../../src/db/tasks.ts'
import { moveObject } from '../../src/db/transfer.ts'
import { deleteLater } from '../../src/db/unused.ts'
import { openMetrics } from '../../src/lib/metrics.ts'
import { copyProven } from '../../src/media/copy-object.ts'
import { openObject } from '../../src/media/download.ts'
import { deleteUnused } from '../../src/media/unused.ts'
import { temporaryFolder } from '../support/folder.ts'

const log = pino({ level: 'silent' })
const never = new AbortController().signal

const datastoreParts = (folder: string) => ({
  now: () => Date.now(),
  random: () => 0.5,
  newName: randomUUID,
  newKey: randomUUID,
  stagingFolder: join(folder, 'staging'),
  log,
  called: () => {},
})

async function open() {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  const pool = { maxConnections: 1, maxIdleConnections: 1 }
  const options = { sqlite: join(folder, 'db.sqlite'), postgres: '', pool }
  const db = cleanup.use(await openDatabase(options, 'server', log))
  const datastores = cleanup.use(new Datastores(datastoreParts(folder)))
  const file = (id: string) => ({ type: 'file', id, forKinds: ['all'], opts: { path: join(folder, id) } })
  await datastores.configure([file('old'), file('new')])
  const owned = cleanup.move()
  return {
    db,
    datastores,
    parts: { db, datastores, events: { log, metrics: openMetrics({ version: 'test' }) } },
    isThere: (id: string, location: string) =>
      stat(join(folder, id, location)).then(
        () => true,
        () => false,
      ),
    configureWithout: async (id: string) =>
      await datastores.configure(['old', 'new'].filter((each) => each !== id).map(file)),
    configureAll: async () => await datastores.configure([file('old'), file('new')]),
    put: async (text: string) => {
      const old = datastores.get('old')
      if (!old) throw new Error('it is configured')
      await using staged = await old.stage(Readable.from([Buffer.from(text)]), { maxBytes: 0 })
      const { sha256, size } = staged
      return { sha256, size, datastore: 'old', location: await old.put(staged, { contentType: 'text/plain' }) }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** An uploaded file that was moved from `old` to `new`, and its record from before. */
async function moved(opened: Awaited<ReturnType<typeof open>>, text: string) {
  const { db, datastores, put } = opened
  const object = await put(text)
  await db.write(commitMedia, {
    origin: 'example.org',
    mediaId: text,
    reserved: false,
    kind: 'upload',
    contentType: 'text/plain',
    uploadName: null,
    uploader: null,
    createdAt: 1000,
    authenticated: true,
    object: { ...object, fresh: true },
  })
  const before = await findMedia(db.read, 'example.org', text)
  const [from, to] = [datastores.get('old'), datastores.get('new')]
  if (!before || !from || !to) throw new Error('all of them are there')
  const { id } = await db.write(addTask, { name: 'move', params: {}, progress: {}, startedAt: 1000 })
  const lease = { name: text, token: text }
  await db.write(takeLease, { ...lease, ms: 60_000 })
  const location = await copyProven({ from, to, log }, { ...object, contentType: 'text/plain' }, never)
  const move = { id, lease, object, to: { datastore: 'new', location }, keepMs: 0, progress: {} }
  expect(await db.write(moveObject, move)).toBe('moved')
  return { object, before, location }
}

const nobodyLooks = { isWorthAsking: () => true, noteMissing() {}, noteFound() {} }

async function textOf(opened: Awaited<ReturnType<typeof open>>, record: Parameters<typeof openObject>[2]) {
  await using object = await openObject({ ...opened, lost: nobodyLooks }, { log }, record)
  const chunks: Buffer[] = []
  for await (const chunk of object.read({ start: 0, end: object.size - 1 })) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString()
}

test('Old bytes are deleted when their time has come, and whoever read the record before finds the new ones', async () => {
  await using opened = await open()
  const { object, before, location } = await moved(opened, 'some text')
  await opened.db.write(deleteLater, { datastore: 'old', location: object.location, afterMs: 60_000 })
  await deleteUnused(opened.parts, never)
  expect(await opened.isThere('old', object.location)).toBe(true)
  await opened.db.write(deleteLater, { datastore: 'old', location: object.location, afterMs: -1 })
  await deleteUnused(opened.parts, never)
  expect(await opened.isThere('old', object.location)).toBe(false)
  expect(await opened.isThere('new', location)).toBe(true)
  expect(await textOf(opened, before)).toBe('some text')
  expect(await opened.db.read.selectFrom('unused_objects').selectAll().execute()).toEqual([])
})

test('Bytes that a record names are never deleted', async () => {
  await using opened = await open()
  const { location } = await moved(opened, 'named')
  await opened.db.write(deleteLater, { datastore: 'new', location, afterMs: -1 })
  await deleteUnused(opened.parts, never)
  expect(await opened.isThere('new', location)).toBe(true)
  expect(
    await opened.db.read.selectFrom('unused_objects').selectAll().where('datastore', '=', 'new').execute(),
  ).toEqual([])
})

test('Bytes of a datastore that is not configured, or cannot be used, wait', async () => {
  await using opened = await open()
  const object = await opened.put('waits')
  const place = { datastore: 'old', location: object.location }
  await opened.db.write(deleteLater, { ...place, afterMs: -1 })
  await opened.configureWithout('old')
  await deleteUnused(opened.parts, never)
  expect(await opened.isThere('old', object.location)).toBe(true)

  await opened.configureAll()
  const broken = { get: () => ({ delete: () => Promise.reject(new Error('down')) }) } as never
  await opened.db.write(deleteLater, { ...place, afterMs: -1 })
  await deleteUnused({ ...opened.parts, datastores: broken }, never)
  expect(await opened.isThere('old', object.location)).toBe(true)

  await opened.db.write(deleteLater, { ...place, afterMs: -1 })
  await deleteUnused(opened.parts, never)
  expect(await opened.isThere('old', object.location)).toBe(false)
})

test('A copy that reads back with other bytes is deleted, and the object stays where it is', async () => {
  await using opened = await open()
  const object = { ...(await opened.put('proven')), contentType: null }
  const [from, to] = [opened.datastores.get('old'), opened.datastores.get('new')]
  if (!from || !to) throw new Error('both are configured')
  // A disk that stores something else than it was given.
  const put: Datastore['put'] = async (...args) => {
    const location = await to.put(...args)
    await writeFile(to.localPath?.(location) ?? '', 'PROVEN')
    return location
  }
  const faulty = {
    id: to.id,
    stage: to.stage.bind(to),
    put,
    open: to.open.bind(to),
    delete: to.delete.bind(to),
  } as unknown as Datastore
  await expect(copyProven({ from, to: faulty, log }, object, never)).rejects.toThrow(/its copy in new read back has/)
  for await (const kept of to.list()) throw new Error(`${kept.location} is left`)
  expect(await opened.isThere('old', object.location)).toBe(true)
})
