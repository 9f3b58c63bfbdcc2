import { setImmediate } from 'node:timers/promises'
import type { IndexedMedia, IndexPlace } from '../db/archive-index.ts'
import { bareFileName } from '../lib/file-name.ts'
import { mediaTypeOf } from '../lib/media-type.ts'
import { isUserId, serverOf } from '../matrix/ids.ts'
import type { ArchivePlan } from './archive-plan.ts'
import { invalidRow, type PassedRow, type ReadRow, type RecordSource, type SourceRow } from './records.ts'

export interface ArchiveOwners {
  /** Whether a server is a homeserver of ours. */
  readonly isOurs: (serverName: string) => boolean
  /** Whether what is uploaded to it now is for authenticated callers only: so is what an archive brings, which does not say. */
  readonly isFrozen: (serverName: string) => boolean
  /** Only what belongs to this user or server; undefined: all. */
  readonly only: string | undefined
}

/** The records of an archive, in the order in which its bytes are read. `name`: the same each time it is imported. */
export function archiveRecords({ index }: ArchivePlan, name: string, owners: ArchiveOwners): RecordSource {
  const { only } = owners
  return {
    name,
    count: () => Promise.resolve(only === undefined ? index.media : index.countOf(only)),
    async page(after, limit) {
      for (let from = placeOf(after); ;) {
        const { media, next } = index.page(from, limit)
        const rows = media
          .filter((one) => isOf(one, only))
          .map((one): SourceRow => ({ at: `${one.place.at} ${one.place.number}`, ...readMedia(one, owners) }))
        if (rows.length > 0 || !next) return rows
        from = next
        // A server has other things to do, too.
        await setImmediate()
      }
    },
  }
}

function placeOf(after: string | undefined): IndexPlace | undefined {
  if (after === undefined) return undefined
  const [at = 0, number = 0] = after.split(' ').map(Number)
  return { at, number }
}

const isOf = ({ uploader, origin }: IndexedMedia, only: string | undefined) =>
  only === undefined || only === uploader || only === origin

function readMedia(media: IndexedMedia, { isOurs, isFrozen }: ArchiveOwners): ReadRow | PassedRow {
  // `@sharedsecret` is nobody of a server.
  const uploader = /^@[^:\0]+$/.test(media.uploader) || isUserId(media.uploader) ? media.uploader : null
  const server = serverOf(uploader ?? '')
  // As MMR: nobody uploads to a server that is not theirs.
  if (server !== undefined && server !== media.origin) {
    return invalidRow(media.origin, media.mediaId, `uploaded by ${media.uploader}, of another server`)
  }
  return {
    record: {
      origin: media.origin,
      mediaId: media.mediaId,
      kind: isOurs(media.origin) ? 'upload' : 'remote',
      contentType: mediaTypeOf(media.contentType),
      uploadName: bareFileName(media.name),
      uploader,
      createdAt: media.createdAt,
      accessedAt: null,
      authenticated: isFrozen(media.origin),
      quarantinedBy: null,
      isProtected: false,
      size: media.size,
      sha256: media.sha256,
      path: undefined,
    },
  }
}
