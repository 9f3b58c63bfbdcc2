/** Databases with few and with many records, filled when a row asks for them and kept for the rows after it. */
import { join } from 'node:path'
import pg from 'pg'
import { pino } from 'pino'
import { type Database, openDatabase } from '../../src/db/connect.ts'
import { startPostgres } from '../../test/support/postgres.ts'
import { fillPostgres, fillSqlite } from './fill.ts'

export type Engine = 'sqlite' | 'postgres'

export interface Sized {
  readonly media: number
  readonly db: Database
}

export interface Pair {
  readonly few: Sized
  readonly many: Sized
}

const FEW = 100_000
const POOL = { maxConnections: 4, maxIdleConnections: 4 }
/** A quarter of what a machine for so many records has; the rest of the settings are PostgreSQL's own. */
const SETTINGS = ["shared_buffers = '2GB'", "max_wal_size = '8GB'"]

export class RecordDatabases implements AsyncDisposable {
  readonly #folder: string
  readonly #many: number
  readonly #pairs = new Map<Engine, Promise<Pair>>()
  readonly #open = new AsyncDisposableStack()

  /** Below `folder`, with so many media in the larger ones. */
  constructor(folder: string, many: number) {
    this.#folder = folder
    this.#many = many
  }

  of(engine: Engine): Promise<Pair> {
    let pair = this.#pairs.get(engine)
    if (!pair) this.#pairs.set(engine, (pair = engine === 'sqlite' ? this.#sqlite() : this.#postgres()))
    return pair
  }

  async #sqlite(): Promise<Pair> {
    return await this.#pair(async (media) => {
      const sqlite = join(this.#folder, `${media}.sqlite`)
      await fillSqlite(sqlite, media)
      return { sqlite, postgres: '' }
    })
  }

  async #postgres(): Promise<Pair> {
    const server = await startPostgres({ fsync: true, settings: SETTINGS, folder: this.#folder })
    if (!server) throw new Error('there are no programs to start a PostgreSQL with')
    this.#open.use(server)
    return await this.#pair(async (media) => {
      const url = await createDatabase(server.url, `media${media}`)
      await fillPostgres(url, media)
      return { sqlite: '', postgres: url }
    })
  }

  async #pair(make: (media: number) => Promise<{ sqlite: string; postgres: string }>): Promise<Pair> {
    return { few: await this.#sized(FEW, make), many: await this.#sized(this.#many, make) }
  }

  async #sized(media: number, make: (media: number) => Promise<{ sqlite: string; postgres: string }>): Promise<Sized> {
    const db = await openDatabase({ ...(await make(media)), pool: POOL }, 'tool', pino({ level: 'silent' }))
    return { media, db: this.#open.use(db) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#open.disposeAsync()
  }
}

async function createDatabase(server: string, name: string): Promise<string> {
  const client = new pg.Client({ connectionString: server })
  await client.connect()
  try {
    await client.query(`CREATE DATABASE ${name}`)
  } finally {
    await client.end()
  }
  const url = new URL(server)
  url.pathname = `/${name}`
  return url.href
}
