import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises'
import type { Database } from '../db/connect.ts'
import { deleteNames, type DeletionRules, describeNames, mayGo, type Name } from '../db/deletion.ts'
import type { StoredObject } from '../db/objects.ts'
import { quarantineNames, releaseNames } from '../db/quarantine-names.ts'
import { Refused } from '../lib/errors.ts'
import { FIRST, pageOf, type Position, type Selection } from './bulk-selection.ts'
import type { ModerationParts } from './moderation.ts'
import { announceChanged } from './records.ts'

export type BulkParts = ModerationParts

/** What is to be done with many media. A type, so that it counts as JSON: tasks remember it. */
export type BulkWish = {
  readonly verb: 'purge' | 'quarantine' | 'release'
  readonly selection: Selection
  /** Only what was last used, quarantined, or made before, whichever the selection goes by; in ms since 1970. */
  readonly before: number
  /** What the moderator may decide about; everything else of the selection stays as it is. */
  readonly within: {
    readonly everywhere: boolean
    readonly serverName: string | null
    /** Whose uploads may be purged besides. */
    readonly userId: string | null
  }
}

/** How far it is. */
export type BulkProgress = {
  readonly position: Position
  /** Names that were deleted, quarantined or released. */
  readonly done: number
  /** Of the content of deleted names, each name counted. */
  readonly bytes: number
  /** Names of the selection that stayed: protected, somebody else's, or in use again. */
  readonly kept: number
}

const BEGINNING: BulkProgress = { position: FIRST, done: 0, bytes: 0, kept: 0 }

/** How many names one transaction deals with: it is over in a hundredth of a second. */
const PAGE = { purge: 100, quarantine: 200, release: 200 } as const
const BYTES_AT_ONCE = 8
/** How long a page waits for its bytes to be deleted, in ms. They were handed over already: what is not deleted now is later. */
const BYTES_WAIT_MS = 2000

const NOTHING = { done: 0, bytes: 0, kept: 0, names: [] as readonly Name[] }
type PageResult = typeof NOTHING

/**
 * Does it page by page, each one transaction, with a pause after each: nobody waits long for it, it may be ended after each, and what was done stays done.
 * Other instances are told of each page before the next, so that none of them serves what was dealt with.
 */
export class BulkRun {
  readonly #parts: BulkParts
  readonly #wish: BulkWish
  /** Some change could not be told to the other instances. */
  #untold = false
  /** The bytes of what was deleted can be deleted now, as far as is known. */
  #storageWorks = true
  progress: BulkProgress

  constructor(parts: BulkParts, wish: BulkWish, progress: BulkProgress = BEGINNING) {
    this.#parts = parts
    this.#wish = wish
    this.progress = progress
  }

  /**
   * Goes on until `isOver` or until all is done, and gives whether it is. `onPage` hears of the names that each page deleted.
   *
   * @throws {Refused} `storage_unavailable` when it is done but other instances could not be told: trying again tells them
   */
  async goOn(isOver: () => boolean, onPage: (names: readonly Name[]) => Promise<void> | void): Promise<boolean> {
    // Whoever did a part of it before may have ended before telling: what is deleted does not come up again.
    if (this.#wish.verb === 'purge') await this.#tell('all')
    for (;;) {
      const began = performance.now()
      const { position } = this.progress
      const { names, next } = await pageOf(
        this.#parts.db.read,
        this.#wish.selection,
        this.#wish.before,
        position,
        PAGE[this.#wish.verb],
      )
      const { done, bytes, kept, names: dealtWith } = await this.#actOn(names)
      this.progress = {
        position: next ?? position,
        done: this.progress.done + done,
        bytes: this.progress.bytes + bytes,
        kept: this.progress.kept + kept,
      }
      if (!next) await this.#tellTheRest()
      await onPage(dealtWith)
      if (!next) return true
      if (isOver()) {
        await this.#tellTheRest()
        return false
      }
      // As long as the page took: half of the time is everybody else's.
      await pause(performance.now() - began)
    }
  }

  async #actOn(names: readonly Name[]): Promise<PageResult> {
    if (names.length === 0) return NOTHING
    return this.#wish.verb === 'purge' ? await this.#purge(names) : await this.#quarantineOrRelease(names)
  }

  async #purge(names: readonly Name[]): Promise<PageResult> {
    const { db, clock } = this.#parts
    const rules = rulesOf(this.#wish)
    const { deleted, found, bytes, sha256s, unused } = await db.write(deleteNames, { names, rules, at: clock.now() })
    await this.#tell(sha256s)
    await this.#deleteBytes(unused)
    return { done: deleted.length, bytes, kept: found - deleted.length, names: deleted }
  }

  async #quarantineOrRelease(names: readonly Name[]): Promise<PageResult> {
    const { db, clock } = this.#parts
    const { verb, selection, within } = this.#wish
    // Names in rooms may be gone already; their content is meant all the same.
    const alsoDeleted = selection.by === 'room' ? names.filter(isTheirs(within)) : []
    const meant = { names, rules: rulesOf(this.#wish), alsoDeleted }
    const how = { origin: within.everywhere ? null : within.serverName, at: clock.now(), by: within.userId }
    const { done, kept, sha256s } =
      verb === 'quarantine'
        ? await db.write(quarantineNames, { ...meant, ...how })
        : await db.write(releaseNames, meant)
    // Also what was quarantined before: whoever did that may have ended before telling the others.
    await this.#tell(sha256s)
    return { done, bytes: 0, kept, names: [] }
  }

  /** What could not be told is told with the next page, as a change of anything. */
  async #tell(sha256s: readonly string[] | 'all'): Promise<void> {
    if (sha256s.length === 0) return
    try {
      await announceChanged(this.#parts.notifier, this.#untold ? 'all' : sha256s)
      this.#untold = false
    } catch (error) {
      this.#untold = true
      this.#parts.events.log.error({ err: error }, 'media were moderated, but other instances could not be told yet')
    }
  }

  async #tellTheRest(): Promise<void> {
    if (this.#untold) await this.#tell('all')
    if (!this.#untold) return
    const message = 'It is done, but other instances could not be told and may not act by it yet: please try again'
    throw new Refused('storage_unavailable', message, { retryAfterMs: 5000 })
  }

  /** Once that takes long, or nothing can be deleted, the bytes of later pages are left to the job for what was handed over. */
  async #deleteBytes(objects: readonly StoredObject[]): Promise<void> {
    if (!this.#storageWorks || objects.length === 0) return
    const late = pause(BYTES_WAIT_MS, false, { ref: false })
    this.#storageWorks = await Promise.race([this.#deleteAll(objects), late])
  }

  /** Gives whether any could be. */
  async #deleteAll(objects: readonly StoredObject[]): Promise<boolean> {
    const { datastores, events } = this.#parts
    const problems: unknown[] = []
    for (let begin = 0; begin < objects.length; begin += BYTES_AT_ONCE) {
      const some = objects.slice(begin, begin + BYTES_AT_ONCE)
      const results = await Promise.allSettled(some.map((object) => datastores.delete(object)))
      problems.push(...results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : [])))
    }
    if (problems.length > 0) {
      const counts = { objects: objects.length, failed: problems.length }
      events.log.warn(
        { err: problems[0], ...counts },
        'could not delete the bytes of some purged media; it is tried again',
      )
    }
    return problems.length < objects.length
  }
}

/** What would go. */
export interface BulkPreview {
  readonly files: number
  readonly bytes: number
  readonly kept: number
  /** The first of them. */
  readonly names: readonly Name[]
}

/** Counts what a purge would delete, and changes nothing. Ends with the signal. */
export async function preview(
  db: Pick<Database, 'read'>,
  wish: BulkWish,
  named: number,
  signal: AbortSignal,
): Promise<BulkPreview> {
  const rules = rulesOf(wish)
  const names: Name[] = []
  const sum = { files: 0, bytes: 0, kept: 0 }
  for (let position: Position | undefined = FIRST; position;) {
    signal.throwIfAborted()
    const page = await pageOf(db.read, wish.selection, wish.before, position, PAGE.purge)
    for (const media of await describeNames(db.read, page.names)) {
      if (!mayGo(media, rules)) {
        sum.kept++
        continue
      }
      sum.files++
      sum.bytes += media.size
      if (names.length < named) names.push({ origin: media.origin, mediaId: media.mediaId })
    }
    position = page.next
    // SQLite answers on this thread: others get their turn between pages.
    await nextTurn()
  }
  return { ...sum, names }
}

function rulesOf({ verb, selection, before, within: { everywhere, serverName, userId } }: BulkWish): DeletionRules {
  const within = everywhere ? null : { origin: serverName, uploader: userId }
  if (verb === 'release') return { within, quarantined: true, evenProtected: true }
  if (selection.by === 'last_use') return { within, quarantined: false, unusedSince: before }
  if (selection.by === 'quarantine') return { within, quarantined: true }
  return { within, madeSince: before }
}

const isTheirs =
  ({ everywhere, serverName }: BulkWish['within']) =>
  ({ origin }: Name) =>
    everywhere || origin === serverName
