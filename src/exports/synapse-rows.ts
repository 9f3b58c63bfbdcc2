import { createHash } from 'node:crypto'
import { originalPath } from '../interop/synapse/paths.ts'
import type { SynapseMedia } from '../interop/synapse/rows.ts'
import type { SynapseThumbnail } from '../interop/synapse/write.ts'
import type { OutgoingRecord } from './records.ts'

/** Who is noted where nobody is known: Synapse's own word for what it quarantined itself. */
const SYSTEM = 'system'

/** The row that Synapse would have made of a media. */
export function synapseRowOf(record: OutgoingRecord, serverName: string): SynapseMedia {
  const isLocal = record.origin === serverName
  return {
    origin: isLocal ? null : record.origin,
    mediaId: record.mediaId,
    filesystemId: isLocal ? record.mediaId : filesystemIdOf(record),
    mediaType: record.contentType,
    length: record.size,
    createdAt: record.createdAt,
    uploadName: record.uploadName,
    userId: isLocal ? record.uploader : null,
    quarantinedBy: record.quarantinedBy === '' ? SYSTEM : record.quarantinedBy,
    isPreview: false,
    lastAccessAt: record.accessedAt,
    isProtected: isLocal && record.isProtected,
    authenticated: record.authenticated,
    sha256: record.sha256,
  }
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const FILESYSTEM_ID = 24

/** As Synapse makes them, 24 letters; but always the same for one name, so that a run finds the files of one that was broken off. */
function filesystemIdOf({ origin, mediaId }: OutgoingRecord): string {
  const digest = createHash('sha256').update(`${origin}/${mediaId}`).digest().subarray(0, FILESYSTEM_ID)
  return Array.from(digest, (byte) => LETTERS.charAt(byte % LETTERS.length)).join('')
}

/** Synapse's lengths in PostgreSQL have 32 bits. */
const MOST_BYTES = 2 ** 31 - 1
/** Of ids, two letters and two more are folders, and the rest is the file. */
const SHORTEST_ID = 5
/** Synapse takes what begins with a date for a picture of a URL preview, and deletes that after some days. */
const PREVIEW_ID = /^\d{4}-\d{2}-\d{2}/

/** Why Synapse cannot have a media; undefined: it can. */
export function whyRefused(row: SynapseMedia, engine: 'sqlite' | 'postgres'): string | undefined {
  if (row.mediaId.length < SHORTEST_ID && row.origin === null) {
    return `Synapse cannot store ids of fewer than ${SHORTEST_ID} characters`
  }
  if (row.origin === null && PREVIEW_ID.test(row.mediaId)) {
    return 'Synapse takes an id that begins with a date for a picture of a URL preview'
  }
  if (engine === 'postgres' && (row.length ?? 0) > MOST_BYTES) {
    return `${row.length} bytes are more than Synapse can note (${MOST_BYTES})`
  }
  return originalPath(row) === undefined ? 'it cannot be a path' : undefined
}

/** Those that Synapse makes of each picture, if nobody configured others. */
export const THUMBNAILS = [
  { width: 32, height: 32, method: 'crop' },
  { width: 96, height: 96, method: 'crop' },
  { width: 320, height: 240, method: 'scale' },
  { width: 640, height: 480, method: 'scale' },
  { width: 800, height: 600, method: 'scale' },
] as const

const THUMBNAIL_TYPES: ReadonlyMap<string, string> = new Map([
  ['image/jpeg', 'image/jpeg'],
  ['image/jpg', 'image/jpeg'],
  ['image/webp', 'image/jpeg'],
  ['image/gif', 'image/png'],
  ['image/png', 'image/png'],
])

/**
 * The thumbnails that Synapse is to have of a media, none where it can make none. Without rows it says that there are none, and never makes
 * them; a row without a length and without a file has it make them when somebody asks (tried with 1.163).
 */
export function thumbnailsOf({ mediaType }: SynapseMedia): SynapseThumbnail[] {
  const type = THUMBNAIL_TYPES.get(mediaType ?? '')
  return type === undefined ? [] : THUMBNAILS.map((size) => ({ ...size, type, length: null }))
}
