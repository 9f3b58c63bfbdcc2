import { countTakeOver, type TakeOverCounts } from '../../db/mmr/report.ts'
import { beginTakeOver, findTakeOver, HERE, type TakeOver } from '../../db/mmr/state.ts'
import { countMmr, findMmr, type FoundMmr, MMR_MIGRATIONS, type MmrTables } from '../../db/mmr/tables.ts'
import type { Database } from '../../db/connect.ts'
import type { Lease } from '../../db/leases.ts'
import type { Queryable } from '../../db/query.ts'
import { ConfigError, Refused } from '../../lib/errors.ts'
import type { TakeOverParts } from './parts.ts'
import { type PassProgress, runPass } from './pass.ts'
import type { ReadingRules } from './records.ts'

/**
 * MMR's tables in a database, if there are any.
 *
 * @throws {ConfigError} for tables of another version than we know, with what to do
 */
export async function findUsableMmr(db: Queryable): Promise<FoundMmr | undefined> {
  const found = await findMmr(db)
  if (!found || found.migration === MMR_MIGRATIONS) return found
  const where = `the database has tables of matrix-media-repo in the schema ${found.schema}, at migration ${found.migration}`
  const what =
    found.migration < MMR_MIGRATIONS
      ? 'start matrix-media-repo 1.3.5 or later on it once, which brings them there'
      : 'a newer version of Cellarium may know them'
  const otherwise = 'if they are not wanted any more: cellarium import mmr --finish --anyway'
  throw new ConfigError([`${where}; Cellarium can take over from migration ${MMR_MIGRATIONS}: ${what} (${otherwise})`])
}

export interface Source {
  /** `HERE`, or which other database. */
  readonly name: string
  readonly tables: MmrTables
}

/**
 * Begins to take over from a source, or to look at what changed in it since it was last looked at.
 *
 * @throws {Refused} `bad_request` while another source is not finished
 */
export async function begin(
  { db, clock }: Pick<TakeOverParts, 'clock'> & { readonly db: Pick<Database, 'write'> },
  { name, tables }: Source,
): Promise<TakeOver> {
  // MMR's tables here stay as they are when all is finished, and are not to begin it anew.
  const wanted = { source: name, schema: tables.schema, now: clock.now(), again: name !== HERE }
  const stands = await db.write(beginTakeOver, wanted)
  if (stands.source === name && stands.schema === tables.schema) return stands
  const other = stands.source === HERE ? 'tables in this database' : stands.source
  throw new Refused('bad_request', `Another take-over (of ${other}) is not finished: cellarium import mmr --finish`)
}

export interface GoOnOptions {
  readonly lease: Lease
  readonly signal: AbortSignal
  readonly onProgress: (progress: PassProgress) => Promise<void> | void
}

/**
 * Goes through MMR's tables from where somebody left off, to the end. A pass that was broken off may have been for days, and MMR at work
 * meanwhile: then all is looked at once more.
 */
export async function goOn(
  parts: TakeOverParts,
  tables: MmrTables,
  rules: ReadingRules,
  options: GoOnOptions,
): Promise<TakeOverCounts> {
  const stands = await findTakeOver(parts.db.read)
  const { media, thumbnails } = await countMmr(tables)
  const of = media + thumbnails
  const from = stands?.progress ? (JSON.parse(stands.progress) as PassProgress) : undefined
  if (from) await runPass(parts, tables, rules, { ...options, from, of })
  await runPass(parts, tables, rules, { ...options, from: undefined, of })
  return await countTakeOver(parts.db.read)
}
