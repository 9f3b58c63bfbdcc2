/**
 * What we use of Kysely. Imported as `#kysely`: then it comes from `build/kysely.js`, which `npm ci` makes of this file, because
 * Kysely's 256 files take 11 MiB more than one (docs/decisions/017).
 */
export {
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresDialect,
  PostgresIntrospector,
  PostgresQueryCompiler,
  sql,
  SqliteAdapter,
  SqliteDialect,
} from 'kysely'
export { Migrator } from 'kysely/migration'

export type {
  Compilable,
  CompiledQuery,
  ExpressionBuilder,
  PostgresPool,
  PostgresPoolClient,
  PostgresQueryResult,
  RawBuilder,
} from 'kysely'
export type { Migration, MigrationProvider } from 'kysely/migration'
