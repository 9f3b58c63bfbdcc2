import type { Database } from '../db/connect.ts'
import { countTakeOver, type MmrProblem, problemsPage, uploadedHere } from '../db/mmr/report.ts'
import { findTakeOver, HERE } from '../db/mmr/state.ts'
import { countMmr, type MmrTables } from '../db/mmr/tables.ts'
import { formatMxc } from '../matrix/ids.ts'
import { PHASES } from '../media/mmr/pass.ts'
import type { Verified } from '../media/mmr/verify.ts'
import { count } from './amounts.ts'
import { ProgressLine, type ProgressOutput, speedometer } from './progress-line.ts'

/** Shows how far a pass through MMR's tables is. */
export class TakeOverDisplay implements Disposable {
  readonly #line: ProgressLine
  readonly #speed: (rows: number) => number

  /** `now`: ms that only go up. */
  constructor(output: ProgressOutput = standardOutput(), now = () => performance.now()) {
    this.#line = new ProgressLine(output, now)
    this.#speed = speedometer(now)
  }

  /** What a task or a pass says of itself; nothing, where it has not begun. */
  show(progress: { readonly phase?: unknown; readonly rows?: unknown; readonly of?: unknown }): void {
    const { phase, rows, of } = progress
    if (typeof phase !== 'number' || typeof rows !== 'number' || typeof of !== 'number') return
    const what = PHASES[phase]?.what ?? 'done'
    const share = of <= 0 ? 0 : Math.min(1, rows / of)
    const speed = this.#speed(rows)
    const perSecond = speed > 0 ? `, ${count(speed)} rows/s` : ''
    this.#line.show(share, `${Math.floor(share * 100)} %, ${count(rows)} of ${count(of)} rows${perSecond} (${what})`)
  }

  [Symbol.dispose](): void {
    this.#line[Symbol.dispose]()
  }
}

const standardOutput = (): ProgressOutput => ({
  isTTY: process.stdout.isTTY,
  write: (text) => void process.stdout.write(text),
})

type Reading = Pick<Database, 'read'>

/** Prints how far it is, and how the two repositories differ. */
export async function showStatus({ read }: Reading, json: boolean): Promise<void> {
  const stands = await findTakeOver(read)
  if (!stands) return console.log(json ? 'null' : 'Nothing was taken over from matrix-media-repo.')
  const counts = await countTakeOver(read)
  if (json) {
    const { source, state, copiedAt } = stands
    return console.log(JSON.stringify({ source, state, copied_at: copiedAt, ...counts }, undefined, 2))
  }
  const where = stands.source === HERE ? `this database, schema ${stands.schema}` : stands.source
  console.log(`matrix-media-repo in ${where}: ${wordsFor(stands)}`)
  if (stands.state === 'finished') return
  const { names, thumbnailCopies, places, duplicates, uploadedHere: uploaded } = counts
  const lines = [
    [names, 'of its media were seen'],
    [thumbnailCopies, 'more that are copies of thumbnails, and are not brought here'],
    [places, `files of it that nothing deletes or moves; ${count(duplicates)} of them are the same content once more`],
    [uploaded, 'media that were uploaded here, and that it would not see (--uploaded)'],
    [counts.deletedHere, 'media that were deleted here, and that it would still have'],
    [counts.quarantinedHere, 'media that were quarantined here, and that it would serve'],
    ...Object.entries(counts.problems).map(([problem, amount]) => [amount, WORDS[problem as MmrProblem]] as const),
  ] as const
  for (const [amount, what] of lines) console.log(`${count(amount).padStart(12)}  ${what}`)
}

const WORDS: Readonly<Record<MmrProblem, string>> = {
  'no datastore': 'media not brought here: their datastore is not configured',
  'no hash': 'media not brought here: matrix-media-repo has no hash of them',
  lost: 'media whose files are not where it says, when --verify last looked',
  differs: 'media that are not here as it has them, when --verify last looked',
}

function wordsFor({ state, copiedAt, progress }: { state: string; copiedAt: number | null; progress: string }): string {
  if (state === 'finished') return 'finished'
  if (state === 'finishing') return 'being finished (give --finish again)'
  if (state === 'copied' && copiedAt !== null) return `everything is here since ${new Date(copiedAt).toISOString()}`
  const { rows = 0, of = 0 } = (progress === '' ? {} : JSON.parse(progress)) as { rows?: number; of?: number }
  return `being copied, ${count(rows)} of ${count(of)} rows`
}

const PAGE = 500

/** Prints the names of what was uploaded here, one a line. */
export async function listUploaded({ read }: Reading): Promise<void> {
  for (let after = { origin: '', mediaId: '' }; ;) {
    const page = await uploadedHere(read, { after, limit: PAGE })
    for (const { uploader, createdAt, ...name } of page) {
      console.log([formatMxc(name), uploader ?? '-', new Date(createdAt).toISOString()].join('  '))
    }
    const last = page.at(-1)
    if (!last) return
    after = last
  }
}

/** Prints what could not be brought here or is not right, one a line, on the error output. */
export async function listProblems({ read }: Reading): Promise<void> {
  for (let after = { problem: '', origin: '', mediaId: '' }; ;) {
    const page = await problemsPage(read, { ...after, limit: PAGE })
    for (const { problem, detail, ...name } of page) {
      console.error(`${problem}: ${formatMxc(name)}: ${detail}`.replaceAll(/\p{Cc}/gu, '\uFFFD'))
    }
    const last = page.at(-1)
    if (!last) return
    after = last
  }
}

/** Shows how far a comparison is, and what it found. */
export async function showVerified(
  tables: MmrTables,
  verifying: (onProgress: (rows: number) => void) => Promise<Verified>,
): Promise<Verified> {
  const { media } = await countMmr(tables)
  let found: Verified
  {
    using line = new ProgressLine(standardOutput(), () => performance.now())
    found = await verifying((rows) =>
      line.show(media === 0 ? 1 : rows / media, `${count(rows)} of ${count(media)} media`),
    )
  }
  const { right, thumbnailCopies, deletedHere, lost, differs, unusable, foundElsewhere } = found
  console.log(
    `${count(right)} right, ${count(lost)} lost, ${count(differs)} different, ${count(unusable)} not brought here, ` +
      `${count(deletedHere)} deleted here, ${count(thumbnailCopies)} copies of thumbnails; ` +
      `${count(foundElsewhere)} were found at another place, and are taken from there`,
  )
  return found
}
