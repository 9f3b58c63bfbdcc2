import { type RawBuilder, sql } from '#kysely'
import type { Queryable } from '../query.ts'

/** The migrations of MMR 1.3: the last there will be. Source: mmr-behaviour §4. */
export const MMR_MIGRATIONS = 29

/** Where MMR's tables are: a PostgreSQL database, ours or another, and the schema in it. */
export interface MmrTables {
  readonly db: Queryable
  readonly schema: string
}

export interface FoundMmr {
  readonly schema: string
  /** The number of its last migration. */
  readonly migration: number
}

/** MMR's tables in a PostgreSQL database, where they are in a schema that its connections look into. */
export async function findMmr(db: Queryable): Promise<FoundMmr | undefined> {
  const { rows } = await sql<{ schema: string }>`
    select spaces.nspname as schema
    from unnest(current_schemas(false)) with ordinality as searched(name, place)
    join pg_namespace as spaces on spaces.nspname = searched.name
    where (
      select count(*) from pg_class
      where pg_class.relnamespace = spaces.oid and pg_class.relkind = 'r'
        and pg_class.relname in ('gomigrate', 'media', 'thumbnails', 'url_previews')
    ) = 4
    order by searched.place
    limit 1`.execute(db)
  const [found] = rows
  if (!found) return undefined
  const { schema } = found
  const counted = await sql<{ migration: number }>`
    select cast(coalesce(max(migration_id), 0) as bigint) as migration from ${mmrTable({ schema }, 'gomigrate')}`.execute(
    db,
  )
  return { schema, migration: counted.rows[0]?.migration ?? 0 }
}

/** One of MMR's tables, for a statement. */
export const mmrTable = ({ schema }: Pick<MmrTables, 'schema'>, name: string): RawBuilder<unknown> =>
  sql`${sql.id(schema, name)}`

/** How many rows there are to go through: media and thumbnails. */
export async function countMmr({
  db,
  ...at
}: MmrTables): Promise<{ readonly media: number; readonly thumbnails: number }> {
  const { rows } = await sql<{ media: number; thumbnails: number }>`
    select (select count(*) from ${mmrTable(at, 'media')}) as media,
      (select count(*) from ${mmrTable(at, 'thumbnails')}) as thumbnails`.execute(db)
  return rows[0] ?? { media: 0, thumbnails: 0 }
}
