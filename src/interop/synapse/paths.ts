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

/** Where the original of a row lies. */
export const originalPath = ({ origin, filesystemId }: Stored): string | undefined =>
  origin === null ? localPath(filesystemId) : remotePath(origin, filesystemId)

/** `local_thumbnails/aa/bb/rest/96-96-image-png-crop`, or `remote_thumbnail/SERVER/…`. */
export function thumbnailPath({ origin, filesystemId }: Stored, thumbnail: NamedThumbnail): string | undefined {
  const { width, height, type, method } = thumbnail
  const name = [width, height, ...type.split('/'), method].join('-')
  return origin === null
    ? storePath('local_thumbnails', ...split(filesystemId), name)
    : storePath('remote_thumbnail', origin, ...split(filesystemId), name)
}

interface Stored {
  /** Null: Synapse's own. */
  readonly origin: string | null
  readonly filesystemId: string
}

interface NamedThumbnail {
  readonly width: number
  readonly height: number
  readonly type: string
  readonly method: string
}
