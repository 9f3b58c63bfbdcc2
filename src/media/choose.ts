import type { Datastore, StoredKind } from '../datastores/datastore.ts'
import type { Datastores, UsableDatastore } from '../datastores/datastores.ts'
import type { Database } from '../db/connect.ts'
import { usageOf } from '../db/usage.ts'
import type { Clock } from '../lib/clock.ts'
import { Refused } from '../lib/errors.ts'

/** How long a copy of the totals serves, in ms: who counts what every instance stores at each upload pays for it. */
const KEPT_MS = 10_000

interface Copy {
  readonly bytes: Map<string, number>
  readonly at: number
}

/**
 * How many bytes each datastore holds: its counter in the database, at most ten seconds old, plus what this process has stored
 * since. What other instances stored in these seconds is missing, so sizes are only good for comparing.
 */
export class DatastoreSizes {
  readonly #parts: { readonly db: Pick<Database, 'read'>; readonly clock: Clock }
  #copy: Copy = { bytes: new Map(), at: -Infinity }
  #reading: Promise<void> | undefined

  constructor(parts: { readonly db: Pick<Database, 'read'>; readonly clock: Clock }) {
    this.#parts = parts
  }

  /** Bytes by datastore, for these ids. One query each, once in ten seconds. */
  async of(ids: readonly string[]): Promise<(id: string) => number> {
    // Again, where what others asked for did not include all of ours.
    while (!this.#knows(ids)) await (this.#reading ??= this.#read(ids).finally(() => (this.#reading = undefined)))
    return (id) => this.#copy.bytes.get(id) ?? 0
  }

  /** This process has put a new object there. */
  added(id: string, bytes: number): void {
    const before = this.#copy.bytes.get(id)
    if (before !== undefined) this.#copy.bytes.set(id, before + bytes)
  }

  #knows(ids: readonly string[]): boolean {
    const { bytes, at } = this.#copy
    return this.#parts.clock.now() - at < KEPT_MS && ids.every((id) => bytes.has(id))
  }

  async #read(ids: readonly string[]): Promise<void> {
    const wanted = new Set([...ids, ...this.#copy.bytes.keys()])
    const read = [...wanted].map(async (id) => {
      const { bytes } = await usageOf(this.#parts.db.read, `datastore:${id}`)
      return [id, bytes] as const
    })
    this.#copy = { bytes: new Map(await Promise.all(read)), at: this.#parts.clock.now() }
  }
}

export interface ChooseParts {
  readonly datastores: Datastores
  readonly datastoreSizes: DatastoreSizes
}

/**
 * The datastore for a new object of `kind`: of those that the homeserver may use for it and that take something at the moment,
 * the one that holds the fewest bytes. Refused with `storage_unavailable` when none is configured for it.
 */
export async function chooseDatastore(
  { datastores, datastoreSizes }: ChooseParts,
  kind: StoredKind,
  usable: readonly UsableDatastore[],
): Promise<Datastore> {
  const [only, ...others] = datastores.candidates(kind, usable)
  if (!only) throw new Refused('storage_unavailable', `no datastore is configured for ${kind} (datastores[].forKinds)`)
  if (others.length === 0) return only
  const all = [only, ...others]
  const sizeOf = await datastoreSizes.of(all.map(({ id }) => id))
  return all.reduce((smallest, other) => (sizeOf(other.id) < sizeOf(smallest.id) ? other : smallest))
}
