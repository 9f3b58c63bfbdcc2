import type { Checked, FindingKind, Tally } from '../media/check.ts'
import type { Repaired } from '../media/repair.ts'
import { bytes as sizeText, count } from './amounts.ts'
import type { Outcome } from './datastores-check.ts'

const FOUND: Readonly<Record<FindingKind, string>> = {
  orphan: 'without a record, older than a day',
  lost: 'recorded, but not there',
  damaged: 'there, but not what was stored',
  recovered: 'marked as lost or damaged, but there',
}

const REPAIRED: Readonly<Record<keyof Repaired, string>> = {
  dropped: 'without a record: deleted',
  markedLost: 'marked as lost',
  markedDamaged: 'marked as damaged, and not served any more',
  unmarked: 'there and intact: no longer marked',
  left: 'left as they are',
}

/** What the check of each datastore came to, in lines for people. */
export function summaryOf(outcomes: readonly Outcome[], unconfigured: readonly string[]): string[] {
  return [
    ...outcomes.flatMap(linesOf),
    ...unconfigured.map(
      (id) => `Records name the datastore ${id}, which is not configured: what is in it cannot be served.`,
    ),
  ]
}

function linesOf({ checked, uri, refused, repaired }: Outcome): string[] {
  const { datastore, listed, records, young, known, verified, found } = checked
  const lines = [`${datastore} (${uri}): ${amount(listed)} stored, ${amount(records)} recorded`]
  if (verified.objects > 0) lines.push(`  ${amount(verified)} read and compared with their hash`)
  if (young.objects > 0) lines.push(`  ${amount(young)} without a record yet, younger than a day`)
  if (known.objects > 0) lines.push(`  ${amount(known)} lost or damaged, as is known already`)
  lines.push(...rows(found, FOUND))
  if (Object.values(found).every(({ objects }) => objects === 0)) lines.push('  consistent')
  lines.push(...refused.map((reason) => `  nothing was repaired: ${reason} (--force repairs all the same)`))
  const done = repaired ? rows(repaired, REPAIRED) : []
  if (done.length > 0) lines.push('  repaired:', ...done.map((line) => `  ${line}`))
  return lines
}

function rows<Key extends string>(
  tallies: Readonly<Record<Key, Tally>>,
  words: Readonly<Record<Key, string>>,
): string[] {
  const keys = Object.keys(words) as Key[]
  return keys.filter((key) => tallies[key].objects > 0).map((key) => `  ${amount(tallies[key])} ${words[key]}`)
}

function amount({ objects, bytes }: Tally): string {
  return `${count(objects)} ${objects === 1 ? 'object' : 'objects'} (${sizeText(bytes)})`
}

/** Shows how far a check is, in one line of the terminal. Nothing where standard error is none. */
export function showProgress({ datastore, listed, records }: Checked): void {
  if (!process.stderr.isTTY) return
  process.stderr.write(`\r\u001b[K${datastore}: ${amount(listed)} listed, ${count(records.objects)} records`)
}

export function clearProgress(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K')
}
