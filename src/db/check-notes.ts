import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** 48 bits: a number, and with a hundred million objects a lost one is overlooked once in three million times. */
const HASH_BYTES = 6

/**
 * What a check has seen and found, in a temporary file: a datastore may keep more objects than fit in memory. Disposing
 * deletes it.
 */
export class CheckNotes<Finding> implements AsyncDisposable {
  readonly #folder: string
  readonly #db: DatabaseSync
  readonly #insert
  readonly #select
  readonly #insertFinding

  private constructor(folder: string) {
    this.#folder = folder
    this.#db = new DatabaseSync(join(folder, 'check.sqlite'))
    // Nobody misses it after a crash. Without any journal would be quicker, but SQLite refuses that in its defensive mode.
    this.#db.exec('PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA cache_size = -32768')
    this.#db.exec('CREATE TABLE seen (location INTEGER PRIMARY KEY)')
    this.#db.exec('CREATE TABLE findings (number INTEGER PRIMARY KEY, finding TEXT NOT NULL)')
    this.#insert = this.#db.prepare('INSERT OR IGNORE INTO seen VALUES (?)')
    this.#select = this.#db.prepare('SELECT 1 FROM seen WHERE location = ?')
    this.#insertFinding = this.#db.prepare('INSERT INTO findings (finding) VALUES (?)')
  }

  /** Notes in a new folder below the system's folder for temporary files (TMPDIR). */
  static async open<Finding>(): Promise<CheckNotes<Finding>> {
    return new CheckNotes(await mkdtemp(join(tmpdir(), 'cellarium-check-')))
  }

  /** Notes that something is at these locations. */
  see(locations: readonly string[]): void {
    this.#db.exec('BEGIN')
    for (const location of locations) this.#insert.run(hashOf(location))
    this.#db.exec('COMMIT')
  }

  hasSeen(location: string): boolean {
    return this.#select.get(hashOf(location)) !== undefined
  }

  add(finding: Finding): void {
    this.#insertFinding.run(JSON.stringify(finding))
  }

  /** Every finding in the order in which they were added. More may be added meanwhile. */
  *findings(): Generator<Finding> {
    const next = this.#db.prepare('SELECT number, finding FROM findings WHERE number > ? ORDER BY number LIMIT 500')
    for (let after = 0; ;) {
      const rows = next.all(after) as unknown as readonly { number: number; finding: string }[]
      for (const { finding } of rows) yield JSON.parse(finding) as Finding
      const last = rows.at(-1)
      if (!last) return
      after = last.number
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#db.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function hashOf(location: string): number {
  return createHash('sha256').update(location).digest().readUIntBE(0, HASH_BYTES)
}
