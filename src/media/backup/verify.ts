import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { objectsAfterHash } from '../../db/object-care.ts'
import { openSnapshot } from '../../db/sqlite-snapshot.ts'
import { isMissing } from './keep-file.ts'
import { databaseIn, folderOf, objectsIn, placeBelow, readManifest } from './layout.ts'

export interface Verified {
  /** Whose bytes are what their hash says. */
  readonly right: number
  readonly wrong: readonly string[]
}

const PAGE = 500

/** Reads every object of a backup and compares it with its hash. `wrong` names files that are missing or are something else. */
export async function verifyBackup(backup: string, signal: AbortSignal): Promise<Verified> {
  const { datastores } = await readManifest(backup)
  const included = new Set(datastores.filter((datastore) => datastore.included).map(({ id }) => id))
  await using snapshot = openSnapshot(databaseIn(backup))
  let right = 0
  const wrong: string[] = []
  for (let after = ''; ;) {
    const page = await objectsAfterHash(snapshot.read, { after, limit: PAGE })
    for (const { sha256, datastore, location, lostAt } of page.filter((object) => included.has(object.datastore))) {
      signal.throwIfAborted()
      const path = placeBelow(join(objectsIn(backup), folderOf(datastore)), location)
      if ((await hashOf(path)) === sha256) right++
      else if (lostAt === null) wrong.push(path)
    }
    const last = page.at(-1)
    if (!last) return { right, wrong }
    after = last.sha256
  }
}

async function hashOf(path: string): Promise<string | undefined> {
  const hash = createHash('sha256')
  try {
    await pipeline(createReadStream(path), hash)
    return hash.digest('hex')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}
