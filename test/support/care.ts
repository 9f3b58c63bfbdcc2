/** A database and folders with what was uploaded to them, for tests of what looks after them. */
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdir, rename, rm, truncate, unlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'
import { LocalNotifier } from '../../src/coordination/notifier.ts'
import { Datastores } from '../../src/datastores/datastores.ts'
import type { Datastore } from '../../src/datastores/datastore.ts'
import { type Database, openDatabase } from '../../src/db/connect.ts'
import { commitMedia } from '../../src/db/media.ts'
import type { StoredObject } from '../../src/db/objects.ts'
import type { PostgresWaits } from '../../src/db/postgres.ts'
import { openMetrics } from '../../src/lib/metrics.ts'
import { DatastoreSizes } from '../../src/media/choose.ts'
import type { CareParts } from '../../src/media/lost.ts'
import { storeObject } from '../../src/media/objects.ts'
import { heldClock, type HeldClock } from './app.ts'
import { chunksOf } from './bytes.ts'
import { temporaryFolder } from './folder.ts'
import { type LogLine, recordingLog } from './log.ts'
import { freshDatabase } from './services.ts'

export type Engine = 'sqlite' | 'postgres'

export interface Stored extends StoredObject {
  readonly mediaId: string
  readonly bytes: Buffer
}

export interface Place extends CareParts, AsyncDisposable {
  readonly db: Database
  readonly datastores: Datastores
  readonly clock: HeldClock
  readonly notifier: LocalNotifier
  readonly lines: readonly LogLine[]
  /** The folder that is the datastore `media`. */
  readonly folder: string
  readonly datastore: Datastore
  /** The same database opened once more. */
  readonly another: () => Promise<Database>
  /** Stores bytes under a new name, as an upload does. */
  readonly store: (bytes?: Buffer, kind?: 'upload' | 'remote') => Promise<Stored>
  /** Puts bytes without committing a record, as an upload that is killed in between; gives the location. */
  readonly putOnly: (bytes?: Buffer) => Promise<string>
  readonly lose: (object: { readonly location: string }) => Promise<void>
  readonly cut: (object: { readonly location: string }, size: number) => Promise<void>
  /** Writes other bytes of the same length in an object's place. */
  readonly spoil: (object: StoredObject) => Promise<void>
  /** Makes what is at a location look as if it had been put so many days ago. */
  readonly age: (location: string, days: number) => Promise<void>
  /** Runs a statement past Cellarium. */
  readonly execute: (statement: string) => Promise<void>
  /** Takes the whole folder away and leaves an empty one, as a disk does that is not mounted; gives it back. */
  readonly unmount: () => Promise<() => Promise<void>>
  /** The value of a counter of the datastore `media`. */
  readonly counted: (name: string) => number
}

const DAY_S = 24 * 3600

/**
 * Two datastores, `media` and `other`, and an empty database. `media` is a folder, or a bucket with these `opts`; what harms
 * folders does nothing to buckets.
 */
export async function openPlace(
  engine: Engine,
  bucket?: Readonly<Record<string, string>>,
  waits: Partial<PostgresWaits> = {},
): Promise<Place> {
  await using cleanup = new AsyncDisposableStack()
  const { path } = cleanup.use(await temporaryFolder())
  const { log, lines } = recordingLog()
  const postgres = engine === 'postgres' ? cleanup.use(await freshDatabase()).url : ''
  const options = {
    sqlite: join(path, 'db.sqlite'),
    postgres,
    pool: { maxConnections: 5, maxIdleConnections: 1 },
  }
  const db = cleanup.use(await openDatabase(options, 'server', log, { waits }))
  const clock = heldClock()
  const datastores = cleanup.use(
    new Datastores({
      now: () => clock.now(),
      random: Math.random,
      newName: randomUUID,
      newKey: randomUUID,
      stagingFolder: join(path, 'staging'),
      log,
      called: () => {},
    }),
  )
  const folder = join(path, 'media')
  await datastores.configure([
    bucket ? { type: 's3', id: 'media', forKinds: ['all'], opts: bucket } : configOf('media', folder),
    configOf('other', join(path, 'other')),
  ])
  const datastoreSizes = new DatastoreSizes({ db, clock })
  const notifier = cleanup.use(new LocalNotifier({ log }))
  const datastore = datastores.get('media')
  if (!datastore) throw new Error('the datastore was not opened')
  const metrics = openMetrics({ version: 'test' })
  const pathOf = ({ location }: { readonly location: string }) => join(folder, location)
  const staged = (bytes: Buffer) => datastore.stage(chunksOf(bytes), { maxBytes: 0 })
  const owned = cleanup.move()
  return {
    db,
    datastores,
    clock,
    notifier,
    events: { log, metrics },
    lines,
    folder,
    datastore,
    another: () => openDatabase(options, 'tool', log),
    store: async (bytes = randomBytes(1000), kind = 'upload') => {
      await using file = await staged(bytes)
      const mediaId = randomBytes(8).toString('hex')
      const { sha256, size } = file
      const { object } = await storeObject(
        { db, datastores, datastoreSizes, notifier, log },
        file,
        { datastore, contentType: 'image/png' },
        (offered) =>
          db.write(commitMedia, { ...committed(mediaId, kind, clock.now()), object: offered }) as Promise<Committed>,
      )
      if (!object) throw new Error('not stored')
      return { sha256, size, datastore: object.datastore, location: object.location, mediaId, bytes }
    },
    putOnly: async (bytes = randomBytes(1000)) => {
      await using file = await staged(bytes)
      return await datastore.put(file, { contentType: 'image/png' })
    },
    lose: (object) => unlink(pathOf(object)),
    cut: (object, size) => truncate(pathOf(object), size),
    spoil: (object) => writeFile(pathOf(object), randomBytes(object.size)),
    age: async (location, days) => {
      const then = clock.now() / 1000 - days * DAY_S
      await utimes(join(folder, location), then, then)
    },
    execute: (statement) =>
      engine === 'sqlite' ? onSqlite(options.sqlite, statement) : onPostgres(postgres, statement),
    unmount: async () => {
      await rename(folder, `${folder}-elsewhere`)
      await mkdir(join(folder, '.staging'), { recursive: true })
      return async () => {
        await rm(folder, { recursive: true })
        await rename(`${folder}-elsewhere`, folder)
      }
    },
    counted: (name) => countOf(metrics, name),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

interface Committed {
  readonly outcome: string
  readonly object?: StoredObject
}

function committed(mediaId: string, kind: 'upload' | 'remote', createdAt: number) {
  const common = { contentType: 'image/png', uploadName: null, uploader: null, authenticated: false, reserved: false }
  return { ...common, origin: kind === 'upload' ? 'example.org' : 'remote.example', mediaId, kind, createdAt }
}

function configOf(id: string, path: string) {
  return { type: 'file', id, forKinds: ['all'], opts: { path } }
}

function countOf(metrics: ReturnType<typeof openMetrics>, name: string): number {
  const text = metrics.families.find((family) => family.name === name)?.render() ?? ''
  const [, value] = /^\w+\{datastore="media"\} (\S+)$/m.exec(text) ?? []
  return Number(value ?? 0)
}

async function onSqlite(path: string, statement: string): Promise<void> {
  using database = new DatabaseSync(path, { timeout: 10_000 })
  database.exec(statement)
}

async function onPostgres(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, options: '-c search_path=cellarium' })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
