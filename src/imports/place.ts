import { createHash } from 'node:crypto'
import type { HomeserverConfig } from '../config/schema.ts'
import type { Database } from '../db/connect.ts'
import { isPlaceOfMmr } from '../db/mmr/places.ts'
import { findObject, type KnownObject, type OfferedObject } from '../db/objects.ts'
import { isThumbnail } from '../db/thumbnails.ts'
import type { Datastore } from '../datastores/datastore.ts'
import { ConfigError, messagesOf, Unavailable } from '../lib/errors.ts'
import type { ChooseParts } from '../media/choose.ts'
import { chooseDatastore } from '../media/choose.ts'
import type { ByteSource, FoundBytes } from './bytes.ts'
import type { ImportedRecord } from './records.ts'

export interface PlaceParts extends ChooseParts {
  readonly db: Pick<Database, 'read'>
  /** Where bytes may be, in the order in which they are asked. */
  readonly sources: readonly ByteSource[]
  readonly homeserver: Pick<HomeserverConfig, 'datastores'>
  /** Copies, even where a link would do. */
  readonly copy: boolean
}

/** Runs what reads whole files, some at a time. */
export type Moving = <Result>(work: () => Promise<Result>) => Promise<Result>

/** How bytes came here: linked or adopted where they were, copied, or here already under another name. */
export type How = 'adopted' | 'copied' | 'shared'

export type Placed =
  | { readonly object: OfferedObject; readonly how: How }
  | { readonly problem: 'missing' | 'damaged' | 'unreadable'; readonly details: string }

/**
 * Brings the bytes of a record to where they can be pointed at, from the first place that has them whole. What is wrong with one
 * file is a problem of that file; what is wrong with a place is thrown.
 *
 * @throws {ConfigError} where a place refuses us altogether
 * @throws {Unavailable} where our own datastores or database cannot be used
 */
export async function place(parts: PlaceParts, record: ImportedRecord, moving: Moving): Promise<Placed> {
  const wrong: string[] = []
  let problem: 'missing' | 'damaged' | 'unreadable' = 'missing'
  for (const source of parts.sources) {
    try {
      const taken = await takeFrom(source, parts, record, moving)
      if (!taken) continue
      if ('object' in taken) return taken
      problem = 'damaged'
      wrong.push(`${source.name} ${taken.wrong}`)
    } catch (error) {
      if (error instanceof ConfigError || error instanceof Unavailable) throw error
      problem = 'unreadable'
      wrong.push(`${source.name}: ${messagesOf(error).join(': ')}`)
    }
  }
  return { problem, details: wrong.join('; ') }
}

type Taken = Extract<Placed, { readonly object: OfferedObject }> | { readonly wrong: string }

/** Undefined: it is not there. What broke off on the way is fetched once more, from its beginning. */
async function takeFrom(
  source: ByteSource,
  parts: PlaceParts,
  record: ImportedRecord,
  moving: Moving,
): Promise<Taken | undefined> {
  for (let isFirst = true; ; isFirst = false) {
    await using found = await source.find(record)
    if (!found) return undefined
    try {
      return await take(parts, record, found, moving)
    } catch (error) {
      if (!source.mayBreakOff || !isFirst || error instanceof Unavailable) throw error
    }
  }
}

async function take(parts: PlaceParts, record: ImportedRecord, found: FoundBytes, moving: Moving): Promise<Taken> {
  if (found.size !== undefined && found.size !== record.size) return otherSize(found.size, record)
  if (found.foreign && !parts.copy) {
    const adopted = await adopt(parts, record, found, moving)
    if (adopted) return adopted
  }
  return await moving(() => copy(parts, record, found))
}

const otherSize = (size: number, record: ImportedRecord) => ({
  wrong: `has ${size} bytes, the homeserver's record says ${record.size}`,
})

async function adopt(
  parts: PlaceParts,
  record: ImportedRecord,
  found: FoundBytes,
  moving: Moving,
): Promise<Taken | undefined> {
  const { foreign } = found
  const takers = candidates(parts, record).filter((datastore) => 'adopt' in datastore)
  if (!foreign || takers.length === 0) return undefined
  const sha256 = record.sha256 ?? (await moving(() => hashOf(found)))
  const known = await findKnown(parts, sha256, record.size)
  if ('whole' in known) return { object: known.whole, how: 'shared' }
  for (const datastore of takers) {
    const location = await datastore.adopt?.(foreign)
    if (location === undefined) continue
    const object = { sha256, size: record.size, datastore: datastore.id, location, fresh: true, ...known }
    return { object, how: 'adopted' }
  }
  return undefined
}

async function copy(parts: PlaceParts, record: ImportedRecord, found: FoundBytes): Promise<Taken> {
  if (record.sha256 !== undefined) {
    const known = await findKnown(parts, record.sha256, record.size)
    if ('whole' in known) return { object: known.whole, how: 'shared' }
  }
  const datastore = await chooseDatastore(parts, kindOf(record), parts.homeserver.datastores)
  await using staged = await datastore.stage(found.read(), { maxBytes: 0 })
  if (staged.size !== record.size) return otherSize(staged.size, record)
  if (record.sha256 !== undefined && staged.sha256 !== record.sha256) {
    return { wrong: `has other bytes than the homeserver's record says: their SHA-256 is ${staged.sha256}` }
  }
  const { sha256, size } = staged
  const known = await findKnown(parts, sha256, size)
  if ('whole' in known) return { object: known.whole, how: 'shared' }
  const location = await datastore.put(staged, record)
  return { object: { sha256, size, datastore: datastore.id, location, fresh: true, ...known }, how: 'copied' }
}

const kindOf = ({ kind }: ImportedRecord) => (kind === 'remote' ? 'remote_media' : 'local_media')

const candidates = ({ datastores, homeserver }: PlaceParts, record: ImportedRecord): readonly Datastore[] =>
  datastores.candidates(kindOf(record), homeserver.datastores)

async function hashOf(found: FoundBytes): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of found.read()) hash.update(chunk)
  return hash.digest('hex')
}

/** Content that is here, or else what fresh bytes are to take the place of: a row whose own are gone. */
async function findKnown(
  { db, datastores }: PlaceParts,
  sha256: string,
  size: number,
): Promise<{ readonly whole: OfferedObject } | Pick<OfferedObject, 'replaces'>> {
  const known = await findObject(db.read, sha256)
  if (!known) return {}
  const { datastore, location } = known
  const isSafe = (await isWhole(known, size, datastores)) && !(await isPlaceOfMmr(db.read, known))
  if (isSafe) {
    if (await isThumbnail(db.read, sha256)) await datastores.settle(known)
    return { whole: { sha256, size, datastore, location, fresh: false } }
  }
  return { replaces: { datastore, location } }
}

async function isWhole(
  known: KnownObject,
  size: number,
  datastores: Pick<PlaceParts['datastores'], 'sizeOf'>,
): Promise<boolean> {
  if (known.lostAt !== null || known.damagedAt !== null) return false
  return (await datastores.sizeOf(known)) === size
}
