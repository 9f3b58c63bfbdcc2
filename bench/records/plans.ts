/** What the databases do for a query. */
import type { CompiledQuery } from '#kysely'
import type { Queryable } from '../../src/db/query.ts'
import type { Sized } from './databases.ts'
import type { ReadQuery } from './queries.ts'
import { keysOf } from './time.ts'

export interface Plan {
  /** As the database describes it, line by line, one list for each statement of the query. */
  readonly statements: readonly (readonly string[])[]
  /** Pages of 8 KiB that PostgreSQL looked at, in memory or on disk; undefined for queries that are built anew each time. */
  readonly pages: number | undefined
}

/** How the query is carried out for one of the media in the middle. */
export async function planOf(query: ReadQuery, { db, media }: Sized): Promise<Plan> {
  const keys = keysOf(media)
  const key = keys[Math.floor(keys.length / 3)]
  if (!key) throw new Error('there are no media')
  const before = db.engine === 'sqlite' ? 'EXPLAIN QUERY PLAN ' : 'EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) '
  const statements: string[][] = []
  await query.run(explaining(db.read, before, statements), key)
  return { statements, pages: db.engine === 'sqlite' || statements.length === 0 ? undefined : pagesIn(statements) }
}

/** Stands in for the database where a query is executed: the query finds nothing, its plan is kept. */
function explaining(db: Queryable, before: string, statements: string[][]): Queryable {
  const executeQuery = async (query: CompiledQuery) => {
    const { rows } = await db.executeQuery({ ...query, sql: before + query.sql })
    statements.push(rows.map((row) => textOf(row as Record<string, unknown>)))
    return { rows: [] }
  }
  return new Proxy(db, {
    get(target, name) {
      if (name === 'executeQuery') return executeQuery
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

const textOf = (row: Record<string, unknown>): string => String(row['QUERY PLAN'] ?? row['detail'])

/** The first line that counts pages counts those of the lines below it too. */
function pagesIn(statements: readonly (readonly string[])[]): number {
  const counts = statements.map((lines) => {
    const all = lines.find((line) => line.trim().startsWith('Buffers: '))
    return Array.from(all?.matchAll(/(?:hit|read)=(\d+)/g) ?? [], ([, count]) => Number(count))
  })
  return counts.flat().reduce((sum, count) => sum + count, 0)
}
