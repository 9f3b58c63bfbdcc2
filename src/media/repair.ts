import type { CheckNotes } from '../db/check-notes.ts'
import { markDamaged, markIntact, markLost } from '../db/object-care.ts'
import type { Notifier } from '../coordination/notifier.ts'
import type { Datastore } from '../datastores/datastore.ts'
import type { Checked, CheckParts, Finding, Tally } from './check.ts'
import { dropOrphans, inBatches, isSuspicious } from './orphans.ts'
import { announceChanged } from './records.ts'
import { verify } from './verify.ts'

export interface RepairParts extends CheckParts {
  readonly notifier: Pick<Notifier, 'announce'>
}

/** What a repair did. */
export interface Repaired {
  /** Objects that no record names: deleted. */
  readonly dropped: Tally
  /** Objects that are gone: marked, so that they are answered quickly and the same upload heals them. */
  readonly markedLost: Tally
  /** Objects with other bytes than they should have: marked as lost as well, so that nobody gets those. Nothing is deleted. */
  readonly markedDamaged: Tally
  /** Objects that are there after all: no longer marked. */
  readonly unmarked: Tally
  /** Findings that were otherwise when looked at again, or that nothing can be done about. */
  readonly left: Tally
}

/**
 * Why a repair would rather do harm, one sentence each: with the wrong database everything in a datastore is nobody's, with
 * a disk that is not mounted everything is lost.
 */
export function reasonsNotToRepair({ datastore, found, listed, records }: Checked): readonly string[] {
  const reasons: string[] = []
  if (isSuspicious(found.orphan.objects, listed.objects)) {
    reasons.push(
      `${found.orphan.objects} of the ${listed.objects} objects in ${datastore} have no record: is this the right database, ` +
        'and has everything that uses this datastore been imported?',
    )
  }
  if (isSuspicious(found.lost.objects + found.damaged.objects, records.objects)) {
    reasons.push(
      `${found.lost.objects} of the ${records.objects} objects recorded in ${datastore} are not there, and ` +
        `${found.damaged.objects} are damaged: is its disk mounted, is it the right folder or bucket?`,
    )
  }
  return reasons
}

/**
 * Puts right what a check found, looking at each finding once more before it does. Deletes only objects that no record names
 * and that are older than a day. Every instance hears of what was marked before this resolves: those that keep its record or
 * its bytes give it to nobody any more. Call it only without `reasonsNotToRepair`, or when an administrator insists.
 */
export async function repair(
  parts: RepairParts,
  datastore: Datastore,
  notes: Pick<CheckNotes<Finding>, 'findings'>,
): Promise<Repaired> {
  const repaired = { dropped: zero(), markedLost: zero(), markedDamaged: zero(), unmarked: zero(), left: zero() }
  for await (const findings of inBatches(notes.findings())) {
    const orphans = findings.filter((finding) => finding.kind === 'orphan')
    const dropped = locationsOf(await dropOrphans(parts, datastore, orphans))
    for (const { location, size } of orphans) count(dropped.has(location) ? repaired.dropped : repaired.left, size)
    const marked: string[] = []
    for (const finding of findings) {
      if (finding.kind === 'orphan') continue
      const outcome = await repairRecord(parts, datastore, finding)
      count(repaired[outcome], finding.size)
      if (outcome !== 'left') marked.push(finding.sha256)
    }
    if (marked.length > 0) await announceChanged(parts.notifier, marked)
  }
  return repaired
}

type OfRecord = Exclude<Finding, { readonly kind: 'orphan' }>

/** Whatever was found is found out again, by reading what is there: marks follow what is so now. */
async function repairRecord(
  { db, clock }: CheckParts,
  datastore: Datastore,
  { sha256, location, size }: OfRecord,
): Promise<Exclude<keyof Repaired, 'dropped'>> {
  const place = { sha256, datastore: datastore.id, location }
  const { state } = await verify(datastore, { ...place, size })
  const marked = { ...place, now: clock.now() }
  switch (state) {
    case 'missing':
      return (await db.write(markLost, { ...marked, damaged: false })) ? 'markedLost' : 'left'
    case 'damaged': {
      const news = await db.write(markLost, { ...marked, damaged: true })
      return (await db.write(markDamaged, marked)) || news ? 'markedDamaged' : 'left'
    }
    case 'intact':
      return (await db.write(markIntact, place)) ? 'unmarked' : 'left'
    default:
      return 'left'
  }
}

function locationsOf(objects: readonly { readonly location: string }[]): ReadonlySet<string> {
  return new Set(objects.map(({ location }) => location))
}

const zero = (): Tally => ({ objects: 0, bytes: 0 })

function count(tally: Tally, bytes: number): void {
  tally.objects++
  tally.bytes += bytes
}
