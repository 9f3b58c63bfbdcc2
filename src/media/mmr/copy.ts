import { keepPlaces, takeOverReservations, takeOverTombstones } from '../../db/mmr/ids.ts'
import { takeOverMedia } from '../../db/mmr/media.ts'
import type { PlacedObject } from '../../db/mmr/objects.ts'
import {
  mmrExportPlaces,
  type MmrMedia,
  mmrMediaPage,
  type MmrName,
  mmrReservationsPage,
  type MmrThumbnailKey,
  mmrThumbnailsPage,
  mmrTombstonesPage,
} from '../../db/mmr/pages.ts'
import { type NotedProblem, noteProblems } from '../../db/mmr/report.ts'
import type { TakeOverStep } from '../../db/mmr/state.ts'
import type { TakenMedia } from '../../db/mmr/taken.ts'
import { takeOverThumbnails } from '../../db/mmr/thumbnails.ts'
import { leaseLost, type PassContext, type Stretch, type TakeOverParts } from './parts.ts'
import { readMedia, readThumbnail, type ReadingRules } from './records.ts'

/** Rows of a transaction: some tens of milliseconds, in which nobody else writes to SQLite. */
const PAGE = 1000

const placeOf = ({ datastore, location, sha256, size }: PlacedObject): PlacedObject => ({
  datastore,
  location,
  sha256,
  size,
})

const nameOf = ({ origin, mediaId }: MmrName): MmrName => ({ origin, mediaId })

/** The next media. */
export const copyMedia = (context: PassContext, after: unknown): Promise<Stretch | null> =>
  mediaFrom(context, after, false)

/** The next of those that are quarantined. They come again with all others. */
export async function copyQuarantined(context: PassContext, after: unknown): Promise<Stretch | null> {
  const stretch = await mediaFrom(context, after, true)
  return stretch && { ...stretch, rows: 0 }
}

async function mediaFrom(
  { parts, tables, rules }: PassContext,
  after: unknown,
  onlyQuarantined: boolean,
): Promise<Stretch | null> {
  const rows = await mmrMediaPage(tables, { after: after as MmrName | null, limit: PAGE, onlyQuarantined })
  const last = rows.at(-1)
  if (!last) return null
  return {
    after: nameOf(last),
    rows: rows.length,
    write: async (step) => {
      const { taken: media, kept, problems } = readAll(rows, rules)
      if (problems.length > 0) await parts.db.write(noteProblems, problems)
      const outcome = await parts.db.write(takeOverMedia, { media, kept, now: parts.clock.now(), step })
      if (!outcome) throw leaseLost()
      return outcome.changed
    },
  }
}

function readAll(rows: readonly MmrMedia[], rules: ReadingRules) {
  const taken: TakenMedia[] = []
  /** What cannot be brought here: its files stay all the same. */
  const kept: PlacedObject[] = []
  const problems: NotedProblem[] = []
  for (const row of rows) {
    const read = readMedia(row, rules)
    if ('taken' in read) {
      taken.push(read.taken)
      continue
    }
    kept.push({ ...placeOf(row), sha256: '' })
    problems.push(read.problem)
  }
  return { taken, kept, problems }
}

/** Brings some rows here at once, out of turn. Gives the contents that changed. */
export async function copyRows(
  { db, clock }: Pick<TakeOverParts, 'db' | 'clock'>,
  rows: readonly MmrMedia[],
  rules: ReadingRules,
): Promise<readonly string[]> {
  const { taken: media, kept, problems } = readAll(rows, rules)
  if (problems.length > 0) await db.write(noteProblems, problems)
  const outcome = await db.write(takeOverMedia, { media, kept, now: clock.now() })
  return outcome?.changed ?? []
}

/** The next thumbnails. */
export async function copyThumbnails({ parts, tables, rules }: PassContext, after: unknown): Promise<Stretch | null> {
  const rows = await mmrThumbnailsPage(tables, { after: after as MmrThumbnailKey | null, limit: PAGE })
  const last = rows.at(-1)
  if (!last) return null
  const { width, height, method, isAnimated } = last
  return {
    after: { ...nameOf(last), width, height, method, isAnimated },
    rows: rows.length,
    write: async (step) => {
      const thumbnails = rows.flatMap((row) => readThumbnail(row, rules) ?? [])
      const kept = rows.map(placeOf)
      const added = await parts.db.write(takeOverThumbnails, { thumbnails, kept, now: parts.clock.now(), step })
      if (added === undefined) throw leaseLost()
      return []
    },
  }
}

/** The next ids that name nothing any more. */
export async function copyTombstones({ parts, tables }: PassContext, after: unknown): Promise<Stretch | null> {
  const names = await mmrTombstonesPage(tables, { after: after as MmrName | null, limit: PAGE })
  const write = (step: TakeOverStep | undefined) =>
    parts.db.write(takeOverTombstones, { names, now: parts.clock.now(), step })
  return uncounted(names.at(-1), write)
}

/** The next ids that wait for their upload. */
export async function copyReservations({ parts, tables }: PassContext, after: unknown): Promise<Stretch | null> {
  const now = parts.clock.now()
  const reservations = await mmrReservationsPage(tables, { after: after as MmrName | null, limit: PAGE, now })
  return uncounted(reservations.at(-1), (step) => parts.db.write(takeOverReservations, { reservations, step }))
}

function uncounted(
  last: MmrName | undefined,
  write: (step: TakeOverStep | undefined) => Promise<boolean>,
): Stretch | null {
  if (!last) return null
  return { after: nameOf(last), rows: 0, write: (step) => nothingChanged(write(step)) }
}

async function nothingChanged(writing: Promise<boolean>): Promise<readonly string[]> {
  if (!(await writing)) throw leaseLost()
  return []
}

/** Exports are not brought here; their parts stay where they are. */
export async function keepExports({ parts, tables }: PassContext, after: unknown): Promise<Stretch | null> {
  if (after !== null) return null
  const places = await mmrExportPlaces(tables)
  return { after: 'all', rows: 0, write: (step) => nothingChanged(parts.db.write(keepPlaces, { places, step })) }
}
