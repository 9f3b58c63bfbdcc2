/** What the suites of databases share. */
import { createHash } from 'node:crypto'
import { expect } from 'vitest'
import { type Database } from '../../../src/db/connect.ts'
import { type CommittedMedia } from '../../../src/db/media.ts'
import { type OfferedObject } from '../../../src/db/objects.ts'
import { type Reservation, reserve } from '../../../src/db/pending.ts'
import { type CommittedThumbnail } from '../../../src/db/thumbnails.ts'

/** An empty database, and ways around the code that is tested. */
export interface DatabaseUnderTest extends AsyncDisposable {
  readonly db: Database
  /** The same database opened once more, as another instance or a tool does. */
  readonly another: () => Promise<Database>
  /** Runs a statement past Cellarium, as an administrator with a SQL client does. */
  readonly execute: (statement: string) => Promise<void>
}

export type OpenDatabase = () => Promise<DatabaseUnderTest>

export const NOW = Date.parse('2030-03-04T12:00:00Z')
export const ALICE = '@alice:example.org'

/** What an upload of Alice brings to its commit: 100 bytes that nobody sent before. */
export function media(changes: Partial<CommittedMedia> = {}): CommittedMedia {
  const mediaId = nextName('media')
  return {
    origin: 'example.org',
    mediaId,
    kind: 'upload',
    contentType: 'application/octet-stream',
    uploadName: null,
    uploader: ALICE,
    createdAt: NOW,
    authenticated: true,
    object: object(mediaId),
    reserved: false,
    ...changes,
  }
}

/** 100 bytes just put, known by `content`. */
export function object(content: string, location = `at ${content}`): OfferedObject {
  const sha256 = createHash('sha256').update(content).digest('hex')
  return { sha256, size: 100, datastore: 'main', location, fresh: true }
}

/** The same bytes as somebody finds them who need not put them again. */
export function found(before: OfferedObject): OfferedObject {
  return { ...before, fresh: false }
}

export function placeOf({ sha256, size, datastore, location }: OfferedObject) {
  return { sha256, size, datastore, location }
}

export function thumbnail(source: CommittedMedia, changes: Partial<CommittedThumbnail> = {}): CommittedThumbnail {
  return {
    sourceSha256: source.object.sha256,
    width: 32,
    height: 32,
    method: 'scale',
    variant: 'still',
    contentType: 'image/png',
    createdAt: NOW,
    madeFor: source.origin,
    object: object('thumbnail'),
    ...changes,
  }
}

export function reservation(changes: Partial<Reservation> = {}): Reservation {
  const times = { createdAt: NOW, expiresAt: NOW + 60_000 }
  return { origin: 'example.org', mediaId: nextName('reserved'), uploader: ALICE, ...times, ...changes }
}

export async function reserveFor(db: Database, changes: Partial<Reservation> = {}): Promise<Reservation> {
  const wanted = reservation(changes)
  expect(await db.write(reserve, { ...wanted, maxPending: 0 })).toEqual({ outcome: 'reserved' })
  return wanted
}

export async function quarantine(under: DatabaseUnderTest, mediaId: string): Promise<void> {
  await under.execute(`UPDATE ${table(under.db, 'media')} SET quarantined_at = ${NOW} WHERE media_id = '${mediaId}'`)
}

export async function names(db: Database): Promise<string[]> {
  const rows = await db.read.selectFrom('media').select('media_id').execute()
  return rows.map((row) => row.media_id).toSorted()
}

export async function objects(db: Database) {
  return await db.read.selectFrom('objects').select(['sha256', 'size', 'datastore', 'location']).execute()
}

export function table(db: Database, name: string): string {
  return db.engine === 'postgres' ? `cellarium.${name}` : name
}

export function outcomesOf(results: readonly { readonly outcome: string }[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { outcome } of results) counts[outcome] = (counts[outcome] ?? 0) + 1
  return counts
}

export function many<Value>(count: number, make: (index: number) => Value): Value[] {
  return Array.from({ length: count }, (_, index) => make(index))
}

/** One after the other, round and round. */
export function pick(dbs: readonly Database[], index: number): Database {
  const db = dbs[index % dbs.length]
  if (!db) throw new Error('no database given')
  return db
}

/** All but the first, which the suite closes itself. */
export async function close([, ...others]: readonly Database[]): Promise<void> {
  for (const other of others) await other[Symbol.asyncDispose]()
}

let named = 0
/** Different each time, and in order. */
function nextName(kind: string): string {
  return `${kind}${String(named++).padStart(6, '0')}`
}
