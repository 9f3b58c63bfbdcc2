/** Synapse's media tables (schema 94) and its media folder, as tests write them: for what a real one cannot be made to have. */
import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { HomeserverDatabase } from './homeserver-database.ts'

const TABLES = `
  CREATE TABLE local_media_repository (
    media_id TEXT UNIQUE, media_type TEXT, media_length INTEGER, created_ts BIGINT, upload_name TEXT, user_id TEXT,
    quarantined_by TEXT, url_cache TEXT, last_access_ts BIGINT, safe_from_quarantine BOOLEAN NOT NULL DEFAULT FALSE,
    authenticated BOOLEAN NOT NULL DEFAULT FALSE, sha256 TEXT);
  CREATE TABLE remote_media_cache (
    media_origin TEXT, media_id TEXT, media_type TEXT, created_ts BIGINT, upload_name TEXT, media_length INTEGER,
    filesystem_id TEXT, last_access_ts BIGINT, quarantined_by TEXT, authenticated BOOLEAN NOT NULL DEFAULT FALSE, sha256 TEXT,
    UNIQUE (media_origin, media_id));
  CREATE TABLE local_media_repository_thumbnails (
    media_id TEXT, thumbnail_width INTEGER, thumbnail_height INTEGER, thumbnail_type TEXT, thumbnail_method TEXT, thumbnail_length INTEGER,
    UNIQUE (media_id, thumbnail_width, thumbnail_height, thumbnail_type, thumbnail_method));
  CREATE TABLE remote_media_cache_thumbnails (
    media_origin TEXT, media_id TEXT, thumbnail_width INTEGER, thumbnail_height INTEGER, thumbnail_method TEXT, thumbnail_type TEXT,
    thumbnail_length INTEGER, filesystem_id TEXT,
    UNIQUE (media_origin, media_id, thumbnail_width, thumbnail_height, thumbnail_type, thumbnail_method));
  CREATE TABLE quarantined_media_changes (
    stream_id BIGINT NOT NULL PRIMARY KEY, instance_name TEXT NOT NULL, origin TEXT, media_id TEXT NOT NULL, quarantined BOOLEAN NOT NULL);`

/** A file, and what Synapse says of it; what is not given is as for a plain upload of Alice. */
export interface StoredBySynapse {
  readonly mediaId: string
  readonly bytes: Uint8Array
  /** Another server's: its name. */
  readonly origin?: string
  readonly name?: string | null
  readonly type?: string
  readonly user?: string
  readonly quarantinedBy?: string
  readonly isProtected?: boolean
  readonly authenticated?: boolean
  readonly previewOf?: string
  readonly isPending?: boolean
  readonly lastAccess?: number | null
  /** Synapse has computed its hash. */
  readonly hashed?: boolean
  /** Its file is not on disk. */
  readonly isMissing?: boolean
}

export interface SynapseStore {
  readonly folder: string
  /** Writes row and file; gives the file's path. */
  readonly add: (media: StoredBySynapse) => Promise<string>
}

export const CREATED = Date.parse('2021-02-03T04:05:06Z')

export async function synapseStore(db: HomeserverDatabase, folder: string): Promise<SynapseStore> {
  await db.execute(TABLES)
  return {
    folder,
    async add(media) {
      const path = join(folder, pathOf(media))
      await db.insert(media.origin === undefined ? 'local_media_repository' : 'remote_media_cache', rowOf(media))
      if (media.isMissing || media.isPending) return path
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, media.bytes)
      return path
    },
  }
}

const filesystemId = (mediaId: string) => `fs${mediaId}`

function pathOf({ mediaId, origin }: StoredBySynapse): string {
  const id = origin === undefined ? mediaId : filesystemId(mediaId)
  const split = [id.slice(0, 2), id.slice(2, 4), id.slice(4)]
  return origin === undefined ? join('local_content', ...split) : join('remote_content', origin, ...split)
}

function rowOf(media: StoredBySynapse) {
  const both = {
    media_id: media.mediaId,
    media_type: media.isPending ? null : (media.type ?? 'text/plain'),
    media_length: media.isPending ? null : media.bytes.length,
    created_ts: CREATED,
    upload_name: media.name ?? null,
    quarantined_by: media.quarantinedBy ?? null,
    last_access_ts: media.lastAccess ?? null,
    authenticated: media.authenticated ?? false,
    sha256: media.hashed ? createHash('sha256').update(media.bytes).digest('hex') : null,
  }
  return media.origin === undefined
    ? {
        ...both,
        user_id: media.user ?? '@alice:example.org',
        url_cache: media.previewOf ?? null,
        safe_from_quarantine: media.isProtected ?? false,
      }
    : { ...both, media_origin: media.origin, filesystem_id: filesystemId(media.mediaId) }
}
