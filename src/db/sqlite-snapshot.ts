import { rm } from 'node:fs/promises'
import { openForReading, kyselyOn } from './sqlite.ts'
import type { Queryable } from './query.ts'

export interface Snapshot extends AsyncDisposable {
  readonly read: Queryable
}

/**
 * Writes the whole database as it is at one moment to a new file, beside whoever reads and writes it. What was there is replaced.
 * The caller syncs it. Source: SQLite's VACUUM INTO.
 */
export async function writeSnapshot(database: string, file: string): Promise<void> {
  await rm(file, { force: true })
  const source = openForReading(database)
  try {
    source.prepare('VACUUM INTO ?').run(file)
  } finally {
    source.close()
  }
}

/** A snapshot to look things up in. It stays one file, without a log beside it. */
export function openSnapshot(file: string): Snapshot {
  const read = kyselyOn(openForReading(file))
  return { read, [Symbol.asyncDispose]: () => read.destroy() }
}
