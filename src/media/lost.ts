import { lastUsed } from '../lib/last-used.ts'
import type { Database } from '../db/connect.ts'
import { markIntact, markLost, objectsAfterHash, objectsAfterLocation } from '../db/object-care.ts'
import type { KnownObject, ObjectState, StoredObject } from '../db/objects.ts'
import type { Datastore } from '../datastores/datastore.ts'
import type { Datastores } from '../datastores/datastores.ts'
import type { Clock } from '../lib/clock.ts'
import { objectDamaged, objectFoundAgain, objectLost } from '../lib/background-events.ts'
import type { EventParts } from '../lib/events.ts'
import { otherSize } from './verify.ts'

export interface CareParts {
  readonly db: Pick<Database, 'read' | 'write'>
  readonly datastores: Pick<Datastores, 'get'>
  readonly clock: Clock
  readonly events: Pick<EventParts, 'log' | 'metrics'>
}

const SUSPECTS_AT_MOST = 1000
/** Missing twice counts only with some time in between: a mount or a rename under way must not lead to a mark. */
const SUSPECT_FOR_MS = 5000
const LOOK_AGAIN_AFTER_MS = 10 * 60_000
const OTHERS_BY_PLACE = 8
/** Only some of the neighbours by hash are in the same datastore. */
const NEIGHBOURS_BY_HASH = 100
const OTHERS_BY_HASH = 8

/**
 * Remembers which objects requests did not find, and marks those lost that are really gone: missing twice, in a datastore that
 * works and that still has its other objects. A mark makes the answers quick and the file known to `datastores check`; it
 * deletes nothing. Marked ones are looked for again now and then, so that a disk that is mounted again needs no command.
 */
export class LostObjects implements AsyncDisposable {
  readonly #parts: CareParts
  /** When the object of a hash was first found missing. */
  readonly #suspects = lastUsed<number>(SUSPECTS_AT_MOST)
  /** When a marked one was last looked for. */
  readonly #looked = lastUsed<number>(SUSPECTS_AT_MOST)
  readonly #underWay = new Map<string, Promise<void>>()

  constructor(parts: CareParts) {
    this.#parts = parts
  }

  /** Whether there is a point in asking the datastore: not for a marked object that was looked for in the last ten minutes. */
  isWorthAsking(object: StoredObject & Partial<ObjectState>): boolean {
    if (!isMarkedLost(object)) return true
    if ((object.damagedAt ?? null) !== null) return false
    const looked = this.#looked.get(object.sha256) ?? object.lostAt ?? 0
    return this.#parts.clock.now() - looked >= LOOK_AGAIN_AFTER_MS
  }

  /** A request did not find the object, or not in its size. Returns at once. */
  noteMissing(object: StoredObject & Partial<ObjectState>): void {
    const now = this.#parts.clock.now()
    if (isMarkedLost(object)) return void this.#looked.set(object.sha256, now)
    const since = this.#suspects.get(object.sha256)
    if (since === undefined) this.#suspects.set(object.sha256, now)
    else if (now - since >= SUSPECT_FOR_MS) this.#inBackground(object, () => this.#markIfLost(object))
  }

  /** A request found an object that is marked. Returns at once. */
  noteFound(object: StoredObject): void {
    this.#inBackground(object, async () => {
      if (await this.#parts.db.write(markIntact, placeOf(object))) objectFoundAgain(this.#parts.events, object)
    })
  }

  #inBackground(object: StoredObject, work: () => Promise<void>): void {
    if (this.#underWay.has(object.sha256)) return
    const working = work()
      .catch((error: unknown) => {
        const { sha256, datastore, location } = object
        this.#parts.events.log.warn(
          { err: error, sha256, datastore, location },
          'could not find out whether it is lost',
        )
      })
      .finally(() => this.#underWay.delete(object.sha256))
    this.#underWay.set(object.sha256, working)
  }

  async #markIfLost(object: StoredObject): Promise<void> {
    this.#suspects.delete(object.sha256)
    const datastore = this.#parts.datastores.get(object.datastore)
    if (datastore && (await isReallyGone(this.#parts, datastore, object)))
      await noteLost(this.#parts, datastore, object)
  }

  /** Waits for what is being looked into. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#underWay.values())
  }
}

export function isMarkedLost({ lostAt }: Partial<ObjectState>): boolean {
  return (lostAt ?? null) !== null
}

/**
 * Whether an object that was not found is gone, and not its whole datastore: the datastore has to work, and of some others
 * that should be there at least half are. An empty folder whose disk is not mounted has none of them. Without any other object
 * nothing can be told, and the answer is no.
 */
export async function isReallyGone(
  { db }: Pick<CareParts, 'db'>,
  datastore: Datastore,
  object: StoredObject,
): Promise<boolean> {
  await datastore.check()
  if ((await datastore.sizeOf(object.location)) === object.size) return false
  const others = await someOthers(db, object)
  const there = await Promise.all(others.map(async ({ location, size }) => (await datastore.sizeOf(location)) === size))
  return others.length > 0 && there.filter((is) => is).length * 2 >= others.length
}

/** Objects beside it (put at about the same time, where places tell that) and any others. */
async function someOthers(db: CareParts['db'], object: StoredObject): Promise<readonly KnownObject[]> {
  const { sha256, datastore, location } = object
  const [beside, anywhere, fromStart] = await Promise.all([
    objectsAfterLocation(db.read, { datastore, after: location, limit: OTHERS_BY_PLACE }),
    objectsAfterHash(db.read, { after: sha256, limit: NEIGHBOURS_BY_HASH }),
    objectsAfterHash(db.read, { after: '', limit: NEIGHBOURS_BY_HASH }),
  ])
  const ofIts = [...anywhere, ...fromStart].filter((other) => other.datastore === datastore)
  const found = new Map([...beside, ...ofIts.slice(0, OTHERS_BY_HASH)].map((other) => [other.sha256, other]))
  return [...found.values()].filter((other) => other.sha256 !== sha256 && other.lostAt === null)
}

/** Marks an object as lost, or as damaged where other bytes are in its place, and says so if that is news. */
export async function noteLost(
  { db, clock, events }: Pick<CareParts, 'db' | 'clock' | 'events'>,
  datastore: Datastore,
  object: StoredObject,
): Promise<void> {
  const size = await datastore.sizeOf(object.location)
  const news = await db.write(markLost, { ...placeOf(object), now: clock.now(), damaged: size !== undefined })
  if (!news) return
  if (size === undefined) objectLost(events, object)
  else objectDamaged(events, object, otherSize(size, object.size))
}

/** What identifies an object and the place that was looked at. */
export function placeOf({ sha256, datastore, location }: StoredObject): Omit<StoredObject, 'size'> {
  return { sha256, datastore, location }
}
