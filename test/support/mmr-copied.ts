/** What was brought here from matrix-media-repo, row by row, to compare two copies. */
import { createHash } from 'node:crypto'

/** Gives the rows of a statement. */
export type Ask = (statement: string) => Promise<readonly object[]> | readonly object[]

/** With what is not added up yet. */
const USAGE = `SELECT subject, CAST(sum(bytes) AS BIGINT) AS bytes, CAST(sum(files) AS BIGINT) AS files
  FROM (SELECT subject, bytes, files FROM usage_totals UNION ALL SELECT subject, bytes, files FROM usage_changes) AS all_of_it
  GROUP BY subject HAVING sum(files) <> 0`

const MEDIA = `SELECT origin, media_id, sha256, kind, content_type, upload_name, uploader, created_at, accessed_at, authenticated_at,
  quarantined_at IS NULL AS free, protected_at IS NULL AS mortal FROM media`

const STATEMENTS = [
  MEDIA,
  'SELECT sha256, size, datastore, location FROM objects',
  'SELECT source_sha256, width, height, method, variant, sha256, content_type, created_at, made_for FROM thumbnails',
  'SELECT origin, media_id, kind FROM deleted_media',
  'SELECT * FROM pending_media',
  'SELECT origin, media_id, quarantined FROM quarantine_changes',
  'SELECT * FROM uploader_days',
  'SELECT * FROM mmr_media',
  'SELECT * FROM mmr_places',
  USAGE,
]

/** Every row, without the times at which it came; long tables as how many rows they are and a hash of all. */
export async function copiedFromMmr(ask: Ask): Promise<readonly unknown[]> {
  const tables = []
  for (const statement of STATEMENTS) {
    const lines = (await ask(statement)).map((row) => JSON.stringify(row)).toSorted()
    tables.push([statement, lines.length, lines.length < 100 ? lines : hashOf(lines)])
  }
  return tables
}

const hashOf = (lines: readonly string[]) => createHash('sha256').update(lines.join('\n')).digest('hex')
