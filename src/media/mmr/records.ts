import type { MmrMedia, MmrThumbnail } from '../../db/mmr/pages.ts'
import type { NotedProblem } from '../../db/mmr/report.ts'
import { MMR_FLAGS, type TakenMedia } from '../../db/mmr/taken.ts'
import type { TakenThumbnail } from '../../db/mmr/thumbnails.ts'
import type { MediaKind } from '../../db/schema.ts'

/** What has to be known of our configuration to read MMR's rows. */
export interface ReadingRules {
  /** Whether a server is one of ours. */
  readonly isOurs: (serverName: string) => boolean
  /** Whether a datastore is configured. */
  readonly hasDatastore: (id: string) => boolean
  /** The name under which a thumbnail is stored that MMR made of a source of this type. */
  readonly variantOf: (origin: string, sourceType: string, isMoving: boolean) => string
}

/** A row as it comes here, or why it does not. */
export type Read<Of> = { readonly taken: Of } | { readonly problem: NotedProblem }

/** Reads a row of MMR's `media`. Source: mmr-behaviour §4, "Value conventions". */
export function readMedia(row: MmrMedia, rules: ReadingRules): Read<TakenMedia> {
  const { origin, mediaId, sha256, size, datastore, location } = row
  const problem = problemOf(row, rules)
  if (problem) return { problem: { origin, mediaId, ...problem } }
  const kind = kindOf(row, rules)
  return {
    taken: {
      origin,
      mediaId,
      sha256,
      size,
      datastore,
      location,
      kind,
      contentType: row.contentType,
      uploadName: nameOf(row.uploadName),
      // As we record pictures of previews: they are nobody's upload.
      uploader: row.userId === '' || kind === 'preview' ? null : row.userId,
      createdAt: row.createdAt,
      accessedAt: row.accessedAt ?? row.createdAt,
      flags: flagsOf(row, rules),
    },
  }
}

function problemOf(row: Pick<MmrMedia, 'sha256' | 'datastore' | 'location'>, { hasDatastore }: ReadingRules) {
  const { sha256, datastore, location } = row
  if (!/^[0-9a-f]{64}$/.test(sha256)) {
    return { problem: 'no hash', detail: `the SHA-256 is ${JSON.stringify(sha256)}` } as const
  }
  if (!hasDatastore(datastore)) {
    return { problem: 'no datastore', detail: `it lies at ${location} in ${JSON.stringify(datastore)}` } as const
  }
  return undefined
}

/** What is somebody's upload stays one, also where its server is not configured any more: it cannot be fetched again. */
function kindOf(row: MmrMedia, { isOurs }: ReadingRules): MediaKind {
  if (row.isInPreview) return 'preview'
  return row.userId === '' && !isOurs(row.origin) ? 'remote' : 'upload'
}

/** What MMR writes where no name was sent: `.` for uploads, nothing for its own files, `download` for remote media. */
function nameOf(name: string): string | null {
  return name === '.' || name === '' || name === 'download' ? null : name
}

function flagsOf(row: MmrMedia, rules: ReadingRules): number {
  return (
    (row.isQuarantined ? MMR_FLAGS.quarantined : 0) |
    (row.isRestricted ? MMR_FLAGS.restricted : 0) |
    (row.isPinned ? MMR_FLAGS.pinned : 0) |
    (isThumbnailCopy(row, rules) ? MMR_FLAGS.thumbnail : 0)
  )
}

/** Forty hexadecimal digits and a number: what MMR made up itself, and no homeserver's id. */
const OWN_ID = /^[0-9a-f]{40}[0-9]{15,20}$/
const THUMBNAIL_TYPE = /^image\/(png|jpeg|gif)$/

/**
 * MMR records each thumbnail as media too: of one of its own servers, without user and name. Those whose `thumbnails` row went with their
 * source are known by their id and type: what users sent has a user, what importers brought has the homeserver's id.
 */
function isThumbnailCopy(row: MmrMedia, { isOurs }: ReadingRules): boolean {
  if (row.userId !== '' || row.uploadName !== '' || !isOurs(row.origin)) return false
  return row.isThumbnailsPlace || (OWN_ID.test(row.mediaId) && THUMBNAIL_TYPE.test(row.contentType))
}

/** Reads a row of MMR's `thumbnails`; undefined: it is made again when it is asked for. */
export function readThumbnail(row: MmrThumbnail, rules: ReadingRules): TakenThumbnail | undefined {
  const { origin, sourceSha256, sourceType, isAnimated, contentType, width, height, method } = row
  if (sourceSha256 === null || sourceType === null || problemOf(row, rules)) return undefined
  const isMoving = isAnimated && contentType === 'image/gif'
  // The same still picture once more, for those who asked for a moving one.
  if (isAnimated && !isMoving) return undefined
  const { sha256, size, datastore, location, createdAt } = row
  const variant = rules.variantOf(origin, sourceType, isMoving)
  const picture = { sourceSha256, width, height, method, variant, contentType, createdAt, madeFor: origin }
  return { ...picture, sha256, size, datastore, location }
}
