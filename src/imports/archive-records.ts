import { bareFileName } from '../lib/file-name.ts'
import { mediaTypeOf } from '../lib/media-type.ts'
import { isUserId, serverOf } from '../matrix/ids.ts'
import type { ArchivePlan, PlannedMedia } from './archive-plan.ts'
import type { ImportedRecord, Passed, RecordSource } from './records.ts'

export interface ArchiveOwners {
  /** Whether a server is a homeserver of ours. */
  readonly isOurs: (serverName: string) => boolean
  /** Whether what is uploaded to it now is for authenticated callers only: so is what an archive brings, which does not say. */
  readonly isFrozen: (serverName: string) => boolean
  /** Only what belongs to this user or server; undefined: all. */
  readonly only: string | undefined
}

/** The records of an archive, in the order in which its bytes are read. `name`: the same each time it is imported. */
export function archiveRecords(plan: ArchivePlan, name: string, owners: ArchiveOwners): RecordSource {
  const wanted = plan.media.filter(({ media }) => isOf(media, owners.only))
  return {
    name,
    count: () => Promise.resolve(wanted.length),
    page: (after, limit) => {
      const from = after === undefined ? 0 : Number(after) + 1
      const rows = wanted.slice(from, from + limit).map((planned, index) => ({
        at: String(from + index),
        ...readPlanned(planned, owners),
      }))
      return Promise.resolve(rows)
    },
  }
}

const isOf = ({ uploader, origin }: PlannedMedia['media'], only: string | undefined) =>
  only === undefined || only === uploader || only === origin

function readPlanned(
  { media }: PlannedMedia,
  { isOurs, isFrozen }: ArchiveOwners,
): { readonly record: ImportedRecord } | { readonly passed: Passed } {
  // `@sharedsecret` is nobody of a server.
  const uploader = /^@[^:\0]+$/.test(media.uploader) || isUserId(media.uploader) ? media.uploader : null
  const server = serverOf(uploader ?? '')
  // As MMR: nobody uploads to a server that is not theirs.
  if (server !== undefined && server !== media.origin) return { passed: 'invalid' }
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
