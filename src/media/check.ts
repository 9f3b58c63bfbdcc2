import PQueue from 'p-queue'
import type { CheckNotes } from '../db/check-notes.ts'
import type { Database } from '../db/connect.ts'
import { namesOf, objectsAfterLocation, objectsAt } from '../db/object-care.ts'
import { findObject, type KnownObject } from '../db/objects.ts'
import type { Datastore, KeptObject } from '../datastores/datastore.ts'
import type { Datastores } from '../datastores/datastores.ts'
import type { Clock } from '../lib/clock.ts'
import { isMarkedLost } from './lost.ts'
import { BATCH, inBatches, isOld, withoutName } from './orphans.ts'
import { otherSize, verify } from './verify.ts'

export interface CheckParts {
  readonly db: Pick<Database, 'read' | 'write'>
  readonly datastores: Pick<Datastores, 'otherPlaces'>
  readonly clock: Clock
}

interface Found {
  readonly location: string
  /** Bytes: what is there of an orphan, else what the record says. */
  readonly size: number
}

/** What a check finds in one place. The words are part of the output for programs. */
export type Finding =
  /** Something is there that no record names. */
  | (Found & { readonly kind: 'orphan'; readonly putAt: number })
  /** A record names it and it is gone. `names` are some of its MXC URIs, `remote`: whether all of them are of other servers. */
  | (Found & {
      readonly kind: 'lost'
      readonly sha256: string
      readonly names: readonly string[]
      readonly remote: boolean
    })
  /** What is there is not what the record's hash says. */
  | (Found & { readonly kind: 'damaged'; readonly sha256: string; readonly problem: string })
  /** It is marked as lost or damaged, and is there in its right size (verified: with its right bytes). */
  | (Found & { readonly kind: 'recovered'; readonly sha256: string })

export type FindingKind = Finding['kind']

export interface Tally {
  objects: number
  bytes: number
}

/** What a check of one datastore came to. */
export interface Checked {
  readonly datastore: string
  /** What the datastore keeps. */
  readonly listed: Tally
  /** Records that name it. */
  readonly records: Tally
  /** Objects without a record that are younger than a day: an upload under way may still name them. */
  readonly young: Tally
  /** Marked as lost or damaged already, and still so. */
  readonly known: Tally
  /** Compared with their hash. */
  readonly verified: Tally
  readonly found: Readonly<Record<FindingKind, Tally>>
}

export interface CheckOptions {
  /** Reads every object and compares its hash, instead of only looking whether it is there. */
  readonly verify: boolean
  readonly progress?: (checked: Checked) => void
  readonly signal?: AbortSignal
}

const READ_AT_ONCE = 4
const NAMES_SHOWN = 3

/**
 * Compares a datastore with its records, both ways: first everything that is listed, then every record whose object was not
 * among it. Changes nothing; findings go to `notes`. May run beside live traffic: what was put after the listing passed by
 * is asked for once more, and records that ended or moved meanwhile do not count. Memory does not grow with the number of
 * objects.
 *
 * @throws what the datastore or the database says when it cannot be used: then nothing is known
 */
export async function check(
  parts: CheckParts,
  datastore: Datastore,
  notes: CheckNotes<Finding>,
  options: CheckOptions,
): Promise<Checked> {
  const work = new Check(parts, datastore, notes, options)
  await work.objects()
  await work.records()
  return work.checked
}

class Check {
  readonly checked: Checked
  readonly #parts: CheckParts
  readonly #datastore: Datastore
  readonly #notes: CheckNotes<Finding>
  readonly #options: CheckOptions
  readonly #reading = new PQueue({ concurrency: READ_AT_ONCE })

  constructor(parts: CheckParts, datastore: Datastore, notes: CheckNotes<Finding>, options: CheckOptions) {
    this.#parts = parts
    this.#datastore = datastore
    this.#notes = notes
    this.#options = options
    this.checked = nothingYet(datastore.id)
  }

  async objects(): Promise<void> {
    for await (const listed of inBatches(this.#datastore.list())) {
      this.#notes.see(listed.map(({ location }) => location))
      for (const { size } of listed) count(this.checked.listed, size)
      await this.#lookForOrphans(listed)
      await this.#compare(listed)
      this.#batchDone()
    }
  }

  async #lookForOrphans(listed: readonly KeptObject[]): Promise<void> {
    const now = this.#parts.clock.now()
    for (const orphan of await withoutName(this.#parts, this.#datastore, listed)) {
      const { location, size, putAt } = orphan
      if (isOld(orphan, now)) this.#found({ kind: 'orphan', location, size, putAt })
      else count(this.checked.young, size)
    }
  }

  async #compare(listed: readonly KeptObject[]): Promise<void> {
    const sizes = new Map(listed.map(({ location, size }) => [location, size]))
    const rows = await objectsAt(this.#parts.db.read, this.#datastore.id, [...sizes.keys()])
    await this.#reading.addAll(rows.map((row) => () => this.#compareOne(row, sizes.get(row.location) ?? row.size)))
  }

  async #compareOne(row: KnownObject, size: number): Promise<void> {
    if (size !== row.size) return await this.#damaged(row, otherSize(size, row.size))
    if (this.#options.verify) return await this.#verify(row)
    // Whether damaged bytes are right by now only reading them tells.
    if (row.damagedAt !== null) count(this.checked.known, row.size)
    else if (isMarkedLost(row)) this.#recovered(row)
  }

  async #verify(row: KnownObject): Promise<void> {
    const verified = await verify(this.#datastore, row, this.#options.signal)
    count(this.checked.verified, verified.bytes)
    if (verified.state === 'damaged' || verified.state === 'unreadable') await this.#damaged(row, verified.problem)
    else if (verified.state === 'missing') await this.#missing(row)
    else if (isMarkedLost(row) || row.damagedAt !== null) this.#recovered(row)
  }

  async records(): Promise<void> {
    for (let after = ''; ;) {
      const from = { datastore: this.#datastore.id, after, limit: BATCH }
      const rows = await objectsAfterLocation(this.#parts.db.read, from)
      const last = rows.at(-1)
      if (!last) return
      for (const { size } of rows) count(this.checked.records, size)
      const unseen = rows.filter(({ location }) => !this.#notes.hasSeen(location))
      await this.#reading.addAll(unseen.map((row) => () => this.#missing(row)))
      this.#batchDone()
      after = last.location
    }
  }

  #batchDone(): void {
    this.#options.progress?.(this.checked)
    this.#options.signal?.throwIfAborted()
  }

  /** Asked for by itself: it may have been put after its part of the listing, or deleted before we got here. */
  async #missing(row: KnownObject): Promise<void> {
    const size = await this.#datastore.sizeOf(row.location)
    if (size !== undefined) return await this.#compareOne(row, size)
    if (!(await this.#isStillSo(row))) return
    if (isMarkedLost(row)) count(this.checked.known, row.size)
    else this.#found({ kind: 'lost', ...placed(row), ...(await this.#namesOf(row)) })
  }

  async #damaged(row: KnownObject, problem: string): Promise<void> {
    if (!(await this.#isStillSo(row))) return
    if (row.damagedAt === null) this.#found({ kind: 'damaged', ...placed(row), problem })
    else count(this.checked.known, row.size)
  }

  #recovered(row: KnownObject): void {
    this.#found({ kind: 'recovered', ...placed(row) })
  }

  async #isStillSo(row: KnownObject): Promise<boolean> {
    const now = await findObject(this.#parts.db.read, row.sha256)
    return now?.datastore === row.datastore && now.location === row.location
  }

  async #namesOf({ sha256 }: KnownObject): Promise<{ names: string[]; remote: boolean }> {
    const names = await namesOf(this.#parts.db.read, { sha256, limit: NAMES_SHOWN })
    const remote = names.length > 0 && names.every(({ kind }) => kind === 'remote')
    return { names: names.map(({ origin, mediaId }) => `mxc://${origin}/${mediaId}`), remote }
  }

  #found(finding: Finding): void {
    count(this.checked.found[finding.kind], finding.size)
    this.#notes.add(finding)
  }
}

const placed = ({ sha256, location, size }: KnownObject) => ({ sha256, location, size })

const zero = (): Tally => ({ objects: 0, bytes: 0 })

function count(tally: Tally, bytes: number): void {
  tally.objects++
  tally.bytes += bytes
}

function nothingYet(datastore: string): Checked {
  const found = { orphan: zero(), lost: zero(), damaged: zero(), recovered: zero() }
  return { datastore, listed: zero(), records: zero(), young: zero(), known: zero(), verified: zero(), found }
}
