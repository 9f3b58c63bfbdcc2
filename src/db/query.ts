import { type Compilable, type CompiledQuery, type Kysely, PostgresAdapter, type RawBuilder, sql } from '#kysely'
import type { Schema } from './schema.ts'

/** Something queries run on: the reading side of a database, or a transaction of a write unit. */
export type Queryable = Kysely<Schema>

/**
 * One transaction's worth of statements, without any input or output of its own. Units run where the database's writer is
 * (for SQLite in another thread), so arguments and results are plain data and refusals are results, not exceptions.
 */
export interface Unit<Args, Result> {
  readonly unit: string
  readonly run: (tx: Queryable, args: Args) => Promise<Result>
  /** A power failure may undo it. */
  readonly passing?: true
}

/** Declares a write unit. Its name identifies it across threads; `units.ts` knows every file that has some. */
export function unit<Args, Result>(
  name: string,
  run: (tx: Queryable, args: Args) => Promise<Result>,
): Unit<Args, Result> {
  return { unit: name, run }
}

/**
 * Declares a write unit that a power failure may undo, without harm to what was committed before or after: SQLite then does not
 * wait for the disk. Nothing that is lasting may be answered because of it.
 */
export function passingUnit<Args, Result>(
  name: string,
  run: (tx: Queryable, args: Args) => Promise<Result>,
): Unit<Args, Result> {
  return { unit: name, run, passing: true }
}

/** Whether `db` is PostgreSQL: for the few places where the engines have to differ. */
export function isPostgres(db: Queryable): boolean {
  return db.getExecutor().adapter instanceof PostgresAdapter
}

/** Locks the rows a write unit is going to rely on. SQLite has one writer, so there it adds nothing. */
export function lockRows<Query extends { forUpdate(): Query }>(db: Queryable, query: Query): Query {
  return isPostgres(db) ? query.forUpdate() : query
}

/** Locks those of the rows that no other transaction holds, and passes over the others. */
export function lockFreeRows<Query extends { forUpdate(): { skipLocked(): Query } }>(
  db: Queryable,
  query: Query,
): Query {
  return isPostgres(db) ? query.forUpdate().skipLocked() : query
}

/** Lets one transaction at a time go on for `key`, until it ends. SQLite has one writer, so there it adds nothing. */
export async function oneAtATime(tx: Queryable, key: string): Promise<void> {
  if (isPostgres(tx)) await sql`select pg_advisory_xact_lock(hashtextextended(${key}, 0))`.execute(tx)
}

/**
 * Whether a column is one of so many texts: they are one parameter, where each by itself would make the query's text long, and
 * writing it for some hundred takes milliseconds in which nothing else is answered.
 */
export function isAnyOf(db: Queryable, column: string, texts: readonly string[]): RawBuilder<boolean> {
  return isPostgres(db)
    ? sql<boolean>`${sql.ref(column)} = any(${[...texts]}::text[])`
    : sql<boolean>`${sql.ref(column)} in (select value from json_each(${JSON.stringify(texts)}))`
}

/** The columns of rows that are given to a statement, with their types in both engines' words. */
export type GivenColumns<Row> = Readonly<Record<keyof Row & string, 'text' | 'bigint'>>

/**
 * Rows of plain values, for a statement to select from: one parameter, however many they are. For hundreds at a time. Not for texts with
 * NUL, which PostgreSQL does not take.
 */
export function given<Row extends object>(
  db: Queryable,
  rows: readonly Row[],
  columns: GivenColumns<Row>,
): RawBuilder<Row> {
  const json = JSON.stringify(rows)
  const names = Object.keys(columns) as (keyof Row & string)[]
  if (isPostgres(db)) {
    const typed = names.map((name) => sql`${sql.id(name)} ${sql.raw(columns[name])}`)
    return sql<Row>`(select * from json_to_recordset(${json}::json) as each(${sql.join(typed)}))`
  }
  const read = names.map((name) => sql`value ->> ${sql.lit(name)} as ${sql.id(name)}`)
  return sql<Row>`(select ${sql.join(read)} from json_each(${json}))`
}

/** For what is ordered that is no column of ours: bytewise, as those are. SQLite always does that. */
export const bytewise = (db: Queryable): RawBuilder<unknown> => sql.raw(isPostgres(db) ? 'collate "C"' : '')

/** The database's own clock, in ms since 1970: one for all instances, however wrong theirs are. */
export function databaseNow(db: Queryable): RawBuilder<number> {
  return isPostgres(db)
    ? sql<number>`(extract(epoch from clock_timestamp()) * 1000)::bigint`
    : sql<number>`cast(unixepoch('subsec') * 1000 as integer)`
}

class Placeholder {
  readonly argument: string
  constructor(argument: string) {
    this.argument = argument
  }
}

/**
 * A query that is built and compiled once per database engine and then only bound: building costs more than SQLite needs to
 * answer. `build` must use each argument as a plain value and must not look into it.
 */
export function compiled<Args extends object, Row>(
  build: (db: Queryable, args: Args) => Compilable<Row>,
): (db: Queryable, args: Args) => Promise<Row[]> {
  const placeholders = new Proxy({}, { get: (_, name) => new Placeholder(String(name)) }) as Args
  const perAdapter = new WeakMap<object, CompiledQuery<Row>>()
  return async (db, args) => {
    const { adapter } = db.getExecutor()
    let query = perAdapter.get(adapter)
    if (!query) perAdapter.set(adapter, (query = build(db, placeholders).compile()))
    const parameters = query.parameters.map((value) =>
      value instanceof Placeholder ? (args as Record<string, unknown>)[value.argument] : value,
    )
    const { rows } = await db.executeQuery<Row>({ ...query, parameters })
    return rows
  }
}
