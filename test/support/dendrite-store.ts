/** Dendrite's media tables and its media folder, as tests write them from the documented layout. */
import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { HomeserverDatabase } from './homeserver-database.ts'

const TABLES = `
  CREATE TABLE mediaapi_media_repository (
    media_id TEXT NOT NULL, media_origin TEXT NOT NULL, content_type TEXT NOT NULL, file_size_bytes BIGINT NOT NULL,
    creation_ts BIGINT NOT NULL, upload_name TEXT NOT NULL, base64hash TEXT NOT NULL, user_id TEXT NOT NULL);
  CREATE UNIQUE INDEX mediaapi_media_repository_index ON mediaapi_media_repository (media_id, media_origin);`

export interface StoredByDendrite {
  readonly mediaId: string
  readonly bytes: Uint8Array
  /** example.org, if not given. */
  readonly origin?: string
  /** As it was sent; escaped here. */
  readonly name?: string
  readonly type?: string
  readonly isMissing?: boolean
}

export interface DendriteStore {
  readonly folder: string
  /** Writes row and file; gives the file's path. */
  readonly add: (media: StoredByDendrite) => Promise<string>
}

export const CREATED = Date.parse('2022-03-04T05:06:07Z')

export async function dendriteStore(db: HomeserverDatabase, folder: string): Promise<DendriteStore> {
  await db.execute(TABLES)
  return {
    folder,
    async add({ mediaId, bytes, origin = 'example.org', name = '', type = 'text/plain', isMissing = false }) {
      const hash = createHash('sha256').update(bytes).digest('base64url')
      await db.insert('mediaapi_media_repository', {
        media_id: mediaId,
        media_origin: origin,
        content_type: type,
        file_size_bytes: bytes.length,
        creation_ts: CREATED,
        upload_name: encodeURIComponent(name),
        base64hash: hash,
        user_id: origin === 'example.org' ? '@alice:example.org' : '',
      })
      const path = join(folder, hash.slice(0, 1), hash.slice(1, 2), hash.slice(2), 'file')
      if (isMissing) return path
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, bytes)
      await writeFile(join(dirname(path), 'thumbnail-96x96-crop'), 'a thumbnail')
      return path
    },
  }
}
