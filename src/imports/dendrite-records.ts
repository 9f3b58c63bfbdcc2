import type { ForeignDatabase } from '../interop/foreign-database.ts'
import {
  checkDendriteTables,
  countDendriteMedia,
  DENDRITE_START,
  type DendriteMedia,
  dendritePage,
  dendritePath,
  type DendritePlace,
  hexOf,
} from '../interop/dendrite/rows.ts'
import { bareFileName } from '../lib/file-name.ts'
import { mediaTypeOf } from '../lib/media-type.ts'
import { isMediaId, isServerName } from '../matrix/ids.ts'
import { invalidRow, type PassedRow, type ReadRow, type RecordSource } from './records.ts'
import type { HomeserverNames } from './synapse-records.ts'

/**
 * What a Dendrite has, its own media and its copies of other servers'. It knows neither freeze nor quarantine nor last use: everybody
 * may have what everybody could have until now.
 */
export async function dendriteRecords(db: ForeignDatabase, names: HomeserverNames): Promise<RecordSource> {
  await checkDendriteTables(db)
  return {
    name: `dendrite ${names.serverName}`,
    count: () => countDendriteMedia(db),
    page: async (after, limit) => {
      const from = after === undefined ? DENDRITE_START : (JSON.parse(after) as DendritePlace)
      const media = await dendritePage(db, from, limit)
      return media.map((one) => ({ at: JSON.stringify([one.mediaId, one.origin]), ...readRow(one, names) }))
    },
  }
}

function readRow(media: DendriteMedia, { serverName, isOurs }: HomeserverNames): ReadRow | PassedRow {
  const { origin, mediaId } = media
  const isLocal = origin === serverName
  if (!isLocal && isOurs(origin)) return { passed: 'ours' }
  if (!isMediaId(mediaId)) return invalidRow(origin, mediaId, 'no media id')
  if (!isServerName(origin)) return invalidRow(origin, mediaId, 'no server name')
  if (media.size < 0) return invalidRow(origin, mediaId, 'no length')
  return {
    record: {
      origin,
      mediaId,
      kind: isLocal ? 'upload' : 'remote',
      contentType: mediaTypeOf(media.contentType),
      uploadName: bareFileName(media.uploadName ?? ''),
      uploader: isLocal ? media.userId : null,
      createdAt: media.createdAt,
      accessedAt: null,
      authenticated: false,
      quarantinedBy: null,
      isProtected: false,
      size: media.size,
      sha256: hexOf(media.base64Hash),
      path: dendritePath(media.base64Hash),
    },
  }
}
