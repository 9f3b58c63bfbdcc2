/** What has to be true of a repository after servers were killed. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { expect } from 'vitest'
import type { MediaClient } from '../media-client.ts'
import { type Ledger, sha256 } from './clients.ts'

const AT_ONCE = 8

/** Everything that was answered is read back and hashed. */
export async function expectReadBack(client: MediaClient, { answered }: Ledger): Promise<void> {
  const left = [...answered]
  const readOn = async () => {
    for (let next = left.pop(); next; next = left.pop()) {
      const [media, hash] = next
      const { status, body } = await client.download(media)
      expect({ media, status, hash: sha256(body) }).toEqual({ media, status: 200, hash })
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, readOn))
}

export interface Repository {
  /** The only datastore's folder. */
  readonly mediaFolder: string
  /** Runs a statement on its tables, which it may name without schema. */
  readonly query: (statement: string) => Promise<readonly Record<string, unknown>[]>
}

/** Every row has its object with the right bytes, and what is used adds up. Gives the objects that no row names. */
export async function expectWhole({ mediaFolder, query }: Repository): Promise<string[]> {
  const rows = await query('SELECT sha256, size, location FROM objects')
  for (const { sha256, size, location } of rows) {
    const kept = await hashFile(join(mediaFolder, String(location))).catch((error: Error) => error.message)
    expect(kept, `object ${String(location)}`).toEqual({ sha256, size: Number(size) })
  }
  expect(await usage(query), 'usage').toEqual(await counted(query))
  const named = new Set(rows.map(({ location }) => String(location)))
  return (await filesIn(mediaFolder)).filter((location) => !named.has(location))
}

async function hashFile(path: string): Promise<{ sha256: string; size: number }> {
  const hash = createHash('sha256')
  let size = 0
  await pipeline(createReadStream(path), async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) {
      size += chunk.length
      hash.update(chunk)
    }
  })
  return { sha256: hash.digest('hex'), size }
}

/** Objects, not what is being staged. */
async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
  return files.filter((file) => !file.startsWith('.'))
}

type Query = Repository['query']

async function usage(query: Query) {
  return await sums(
    query,
    `SELECT subject, sum(bytes) AS bytes, sum(files) AS files FROM
     (SELECT subject, bytes, files FROM usage_totals UNION ALL SELECT subject, bytes, files FROM usage_changes
      UNION ALL SELECT 'uploads ' || server || ' ' || day || ' ' || uploader, bytes, files FROM uploader_days WHERE day >= 0)
     AS every GROUP BY subject`,
  )
}

/** The same, from what is there. */
async function counted(query: Query) {
  const names = 'media JOIN objects ON objects.sha256 = media.sha256'
  return await sums(
    query,
    `SELECT 'datastore:' || datastore AS subject, sum(size) AS bytes, count(*) AS files FROM objects GROUP BY datastore
     UNION ALL SELECT 'server:' || origin, sum(size), count(*) FROM ${names} GROUP BY origin
     UNION ALL SELECT 'user:' || uploader, sum(size), count(*) FROM ${names} WHERE uploader IS NOT NULL GROUP BY uploader
     UNION ALL SELECT 'uploads ' || origin || ' ' || (media.created_at / 86400000) || ' ' || uploader, sum(size), count(*)
       FROM ${names} WHERE uploader IS NOT NULL GROUP BY 1
     UNION ALL SELECT 'thumbnails:' || made_for, sum(size), count(*)
       FROM thumbnails JOIN objects ON objects.sha256 = thumbnails.sha256 WHERE made_for IS NOT NULL GROUP BY made_for
     UNION ALL SELECT 'remote', sum(size), count(*) FROM ${names} WHERE kind = 'remote' GROUP BY kind`,
  )
}

async function sums(query: Query, statement: string) {
  const rows = (await query(statement)).map(({ subject, bytes, files }) => [
    String(subject),
    { bytes: Number(bytes), files: Number(files) },
  ])
  return Object.fromEntries(rows)
}
