import { bareFileName } from '../lib/file-name.ts'
import { mediaTypeOf } from '../lib/media-type.ts'
import type { ForeignDatabase } from '../interop/foreign-database.ts'
import { localPath, remotePath } from '../interop/synapse/paths.ts'
import {
  countSynapseMedia,
  placeOf,
  SYNAPSE_START,
  synapsePage,
  type SynapseMedia,
  type SynapsePlace,
  synapseTables,
} from '../interop/synapse/rows.ts'
import { isMediaId, isServerName } from '../matrix/ids.ts'
import { invalidRow, type PassedRow, type ReadRow, type RecordSource } from './records.ts'

export interface HomeserverNames {
  /** The homeserver whose database it is. */
  readonly serverName: string
  /** Whether another server is a homeserver of ours. */
  readonly isOurs: (origin: string) => boolean
}

/** What a Synapse has: its own media first, then its copies of other servers'. */
export async function synapseRecords(db: ForeignDatabase, names: HomeserverNames): Promise<RecordSource> {
  const tables = await synapseTables(db)
  return {
    name: `synapse ${names.serverName}`,
    count: () => countSynapseMedia(db),
    page: async (after, limit) => {
      const from = after === undefined ? SYNAPSE_START : (JSON.parse(after) as SynapsePlace)
      const media = await synapsePage(db, tables, from, limit)
      return media.map((one) => ({ at: JSON.stringify(placeOf(one)), ...readRow(one, names) }))
    },
  }
}

function readRow(media: SynapseMedia, { serverName, isOurs }: HomeserverNames): ReadRow | PassedRow {
  const { mediaId, length } = media
  const origin = media.origin ?? serverName
  if (media.isPreview) return { passed: 'preview' }
  if (length === null) return { passed: 'pending' }
  // Another homeserver of ours brings its own.
  if (media.origin !== null && isOurs(media.origin)) return { passed: 'ours' }
  if (!isMediaId(mediaId)) return invalidRow(origin, mediaId, 'no media id')
  if (!isServerName(origin)) return invalidRow(origin, mediaId, 'no server name')
  if (length < 0) return invalidRow(origin, mediaId, 'no length')
  return {
    record: {
      origin,
      mediaId,
      kind: media.origin === null ? 'upload' : 'remote',
      contentType: mediaTypeOf(media.mediaType ?? undefined),
      uploadName: bareFileName(media.uploadName ?? ''),
      uploader: media.userId,
      createdAt: media.createdAt,
      accessedAt: media.lastAccessAt,
      authenticated: media.authenticated,
      quarantinedBy: media.quarantinedBy,
      isProtected: media.isProtected,
      size: length,
      sha256: hashOf(media.sha256),
      path: media.origin === null ? localPath(media.filesystemId) : remotePath(media.origin, media.filesystemId),
    },
  }
}

/** What is no hash is computed anew. */
const hashOf = (sha256: string | null) =>
  sha256 !== null && /^[0-9a-f]{64}$/i.test(sha256) ? sha256.toLowerCase() : undefined
