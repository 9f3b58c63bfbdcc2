import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Notifier } from '../coordination/notifier.ts'
import { type Candidate, leastRecentlyUsed, START } from '../db/candidates.ts'
import type { Database } from '../db/connect.ts'
import { deleteNames, describeNames, type Name, type NamedMedia } from '../db/deletion.ts'
import type { MediaKind } from '../db/schema.ts'
import type { Clock } from '../lib/clock.ts'
import { announceChanged } from './records.ts'
import { settleReads } from './reads.ts'
import { ruleFor, type TimedRule } from './retention-rules.ts'

export interface ExpiryParts {
  readonly db: Pick<Database, 'read' | 'write'>
  readonly notifier: Pick<Notifier, 'announce'>
  readonly clock: Clock
}

/** Which media are looked at, and which of them go. */
export interface Expiry {
  readonly kind: MediaKind
  readonly rules: readonly TimedRule[]
  /** Those of some names that stay, whatever the rules say. */
  readonly spared?: (names: readonly Name[]) => Promise<readonly Name[]>
}

/** A type, so that it counts as JSON: jobs report it. */
export type ExpiryCounts = {
  /** Media that were not used for as long as one of the rules says, and are not quarantined. */
  readonly looked: number
  readonly removed: number
  /** Of what was removed, each name counted. */
  readonly bytes: number
  /** Stored objects that lost their last name: of media and of thumbnails. Their bytes are deleted ten minutes later. */
  readonly objects: number
}

export const NONE: ExpiryCounts = { looked: 0, removed: 0, bytes: 0, objects: 0 }

/** Contents of a page fit in one announcement, and a transaction of so many names is short. */
const PAGE = 100

type FoundMedia = NamedMedia & { readonly size: number }

interface ExpiryPage {
  readonly candidates: readonly Candidate[]
  /** What goes, by the rule that says so. */
  readonly doomed: ReadonlyMap<TimedRule, readonly FoundMedia[]>
}

export interface Expired extends ExpiryCounts {
  /** Where to go on: the last that was looked at; null: all is done. */
  readonly after: Candidate | null
}

/**
 * Removes media of one kind that rules let go, the least recently used first, from after `from` on and until about `most` were
 * looked at. Protected and quarantined ones stay, and what somebody reads meanwhile. Each page is one transaction: it may be ended
 * after any. Bytes are left to the job for what was handed over: whoever began to read them can do so to the end.
 *
 * @throws when other instances cannot be asked when they were last read, or told that they are gone
 */
export async function expireMedia(
  parts: ExpiryParts,
  expiry: Expiry,
  { from = START, most }: { readonly from?: Candidate | undefined; readonly most: number },
  signal: AbortSignal,
): Promise<Expired> {
  let counts = NONE
  for (let after = from; ;) {
    const page = await pageOf(parts.db, expiry, after)
    counts = sum(counts, await removePage(parts, page))
    const last = page.candidates.at(-1)
    if (!last || page.candidates.length < PAGE) return { ...counts, after: null }
    after = last
    if (signal.aborted || counts.looked >= most) return { ...counts, after }
    // SQLite answers on this thread: others get their turn between pages, also where nothing goes.
    await nextTurn()
  }
}

async function pageOf(db: Pick<Database, 'read'>, expiry: Expiry, after: Candidate): Promise<ExpiryPage> {
  const { kind, rules, spared } = expiry
  const before = Math.max(0, ...rules.map((rule) => rule.unusedSince))
  const candidates = await leastRecentlyUsed(db.read, { kind, before, after, limit: PAGE })
  const found = (await describeNames(db.read, candidates)).filter(({ protectedAt }) => protectedAt === null)
  const stays = new Set(spared && found.length > 0 ? (await spared(found)).map(keyOf) : [])
  const doomed = Map.groupBy(
    found.filter((media) => !stays.has(keyOf(media))),
    (media) => ruleFor(rules, media),
  )
  const byRule = [...doomed].flatMap(([rule, media]) => (rule ? [[rule, media] as const] : []))
  return { candidates, doomed: new Map(byRule) }
}

const keyOf = ({ origin, mediaId }: Name) => `${origin}/${mediaId}`

async function removePage({ db, notifier, clock }: ExpiryParts, page: ExpiryPage): Promise<ExpiryCounts> {
  let counts: ExpiryCounts = { ...NONE, looked: page.candidates.length }
  if (page.doomed.size === 0) return counts
  // Somebody may just be reading what nobody has read for a year: the transaction looks at the time again.
  await settleReads(notifier)
  for (const [{ unusedSince }, names] of page.doomed) {
    const rules = { quarantined: false, unusedSince }
    const gone = await db.write(deleteNames, { names: names.map(nameOf), rules, at: clock.now() })
    const { deleted, bytes, unused, sha256s } = gone
    counts = sum(counts, { looked: 0, removed: deleted.length, bytes, objects: unused.length })
    if (sha256s.length > 0) await announceChanged(notifier, sha256s)
  }
  return counts
}

const nameOf = ({ origin, mediaId }: Name): Name => ({ origin, mediaId })

function sum(a: ExpiryCounts, b: ExpiryCounts): ExpiryCounts {
  return {
    looked: a.looked + b.looked,
    removed: a.removed + b.removed,
    bytes: a.bytes + b.bytes,
    objects: a.objects + b.objects,
  }
}

/** What would go now. */
export interface ExpiryPreview extends Omit<ExpiryCounts, 'removed' | 'objects'> {
  readonly files: number
  /** Files by rule, in the order of the rules. */
  readonly byRule: readonly { readonly files: number; readonly bytes: number }[]
  /** The first of them. */
  readonly names: readonly Name[]
  /** False: it was ended before all were looked at. */
  readonly isComplete: boolean
}

const NAMED = 20

/** Counts what `expireMedia` would remove, and changes nothing. */
export async function previewExpiry(
  db: Pick<Database, 'read'>,
  expiry: Expiry,
  most: number,
  signal: AbortSignal,
): Promise<ExpiryPreview> {
  const byRule = expiry.rules.map(() => ({ files: 0, bytes: 0 }))
  const names: Name[] = []
  let looked = 0
  const preview = (isComplete: boolean): ExpiryPreview => {
    const total = (what: 'files' | 'bytes') => byRule.reduce((all, rule) => all + rule[what], 0)
    return { looked, files: total('files'), bytes: total('bytes'), byRule, names, isComplete }
  }
  for (let after = START; ;) {
    signal.throwIfAborted()
    const { candidates, doomed } = await pageOf(db, expiry, after)
    looked += candidates.length
    for (const [rule, media] of doomed) {
      const counted = byRule[expiry.rules.indexOf(rule)]
      if (!counted) continue
      counted.files += media.length
      counted.bytes += media.reduce((all, { size }) => all + size, 0)
      names.push(...media.slice(0, NAMED - names.length).map(nameOf))
    }
    const last = candidates.at(-1)
    if (!last || candidates.length < PAGE) return preview(true)
    if (looked >= most) return preview(false)
    after = last
    // SQLite answers on this thread: others get their turn between pages.
    await nextTurn()
  }
}
