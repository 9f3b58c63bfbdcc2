import { opendir, readdir, rm } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { objectsAt } from '../../db/object-care.ts'
import type { Queryable } from '../../db/query.ts'
import { objectsIn } from './layout.ts'

const BATCH = 500

/** Deletes the files of a backup that its database does not name (any more); gives how many. */
export async function prune(read: Queryable, backup: string): Promise<number> {
  let pruned = 0
  for (const name of await readdir(objectsIn(backup))) {
    const folder = join(objectsIn(backup), name)
    for await (const locations of inBatches(filesBelow(folder))) {
      const known = await objectsAt(read, decodeURIComponent(name), locations)
      const named = new Set(known.map(({ location }) => join(folder, location)))
      const unnamed = locations.map((location) => join(folder, location)).filter((path) => !named.has(path))
      for (const path of unnamed) await rm(path, { force: true })
      pruned += unnamed.length
    }
  }
  return pruned
}

async function* filesBelow(folder: string): AsyncGenerator<string> {
  for await (const entry of await opendir(folder, { recursive: true })) {
    if (entry.isFile()) yield relative(folder, join(entry.parentPath, entry.name)).replaceAll(sep, '/')
  }
}

async function* inBatches(all: AsyncIterable<string>): AsyncGenerator<string[]> {
  let batch: string[] = []
  for await (const one of all) {
    batch.push(one)
    if (batch.length < BATCH) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}
