/** Where Synapse keeps files, below `media_store_path` and in the same way below the prefix of a bucket. */
import { storePath } from '../store-path.ts'

/** The folders that Synapse makes for itself. */
export const SYNAPSE_FOLDERS = [
  'local_content',
  'local_thumbnails',
  'remote_content',
  'remote_thumbnail',
  'url_cache',
  'url_cache_thumbnails',
] as const

/** `local_content/aa/bb/rest`; undefined for an id that Synapse cannot have given. */
export const localPath = (mediaId: string): string | undefined => storePath('local_content', ...split(mediaId))

/** `remote_content/SERVER/aa/bb/rest`, of the id that files of other servers have on disk. */
export const remotePath = (origin: string, filesystemId: string): string | undefined =>
  storePath('remote_content', origin, ...split(filesystemId))

const split = (id: string) => [id.slice(0, 2), id.slice(2, 4), id.slice(4)]
