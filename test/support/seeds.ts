/** Records of media that nobody uploaded, written past Cellarium: many of them, or some with an unusual past. */
import type { TestApp } from './app.ts'

export interface Seed {
  readonly origin?: string
  readonly mediaId: string
  readonly kind?: 'upload' | 'remote' | 'preview'
  readonly uploader?: string | null
  readonly createdAt?: number
  readonly accessedAt?: number | null
  readonly quarantinedAt?: number | null
  /** The content; one of its own, if not given. */
  readonly sha256?: string
}

export const SEEDED_AT = Date.parse('2026-01-01T00:00:00Z')

/** One of Alice's of ten bytes, without a file, unless told otherwise. Gives its name as it stands in paths. */
export function seed(app: Pick<TestApp, 'sql'>, one: Seed): string {
  const { origin = 'example.org', mediaId, kind = 'upload', uploader = '@alice:example.org' } = one
  const { createdAt = SEEDED_AT, accessedAt = createdAt, quarantinedAt = null } = one
  const sha256 = one.sha256 ?? `hash of ${origin}/${mediaId}`
  app.sql(
    `INSERT INTO objects (sha256, size, datastore, location, created_at)
     SELECT ?, 10, (SELECT coalesce(max(datastore), 'main') FROM objects), ?, ? WHERE NOT EXISTS (SELECT 1 FROM objects WHERE sha256 = ?)`,
    sha256,
    `no/such/${mediaId}`,
    createdAt,
    sha256,
  )
  const times = [createdAt, accessedAt, quarantinedAt].map((time) => time ?? 'NULL').join(', ')
  app.sql(
    `INSERT INTO media (origin, media_id, sha256, kind, content_type, uploader, created_at, accessed_at, quarantined_at)
     VALUES (?, ?, ?, ?, 'text/plain', ${uploader === null ? 'NULL' : `'${uploader}'`}, ${times})`,
    origin,
    mediaId,
    sha256,
    kind,
  )
  return `${origin}/${mediaId}`
}
