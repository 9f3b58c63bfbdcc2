import type { Archivable, OpenBytes } from '../../archives/part.ts'
import type { Datastores } from '../../datastores/datastores.ts'
import { ObjectMissing } from '../../datastores/datastore.ts'
import { type Candidate, oldest, START, uploadsOf } from '../../db/candidates.ts'
import type { Database } from '../../db/connect.ts'
import { exportableMedia, type ExportableMedia } from '../../db/export-media.ts'

export interface ExportSourceParts {
  readonly db: Pick<Database, 'read'>
  readonly datastores: Pick<Datastores, 'get'>
  readonly signal: AbortSignal
}

/** What is to be exported. */
export interface Exported {
  /** A user id or a server name. */
  readonly entity: string
  /** ms since 1970: what was made later is not in it, so that an export has an end. */
  readonly createdAt: number
  /** Whether the archive says where buckets have the files. */
  readonly withS3Urls: boolean
}

const PAGE = 500

/**
 * All media of a user or a server, the oldest first, behind `after`. Pictures of previews are nobody's and not among them; what is quarantined is
 * named, to be left out.
 */
export async function* mediaOf(
  parts: ExportSourceParts,
  { entity, createdAt, withS3Urls }: Exported,
  after: string | undefined,
): AsyncGenerator<Archivable> {
  const before = createdAt + 1
  const page = (last: Candidate) =>
    entity.startsWith('@')
      ? uploadsOf(parts.db.read, { uploader: entity, before, after: last, limit: PAGE })
      : oldest(parts.db.read, { origin: entity, before, after: last, limit: PAGE })
  for (let last = after === undefined ? START : (JSON.parse(after) as Candidate); ;) {
    parts.signal.throwIfAborted()
    const names = await page(last)
    const next = names.at(-1)
    if (!next) return
    const found = new Map((await exportableMedia(parts.db.read, names)).map((media) => [keyOf(media), media]))
    for (const name of names) {
      const media = found.get(keyOf(name))
      if (media && media.kind !== 'preview') yield archivable(parts, media, JSON.stringify(name), withS3Urls)
    }
    last = next
  }
}

const keyOf = ({ origin, mediaId }: { readonly origin: string; readonly mediaId: string }) => `${origin}/${mediaId}`

function archivable(parts: ExportSourceParts, found: ExportableMedia, at: string, withS3Urls: boolean): Archivable {
  const { origin, mediaId, contentType, createdAt, object } = found
  const media = {
    origin,
    mediaId,
    contentType,
    createdAt,
    uploader: found.uploader ?? '',
    name: found.uploadName ?? '',
    size: object.size,
    sha256: object.sha256,
    s3Url: withS3Urls ? s3UrlOf(parts.datastores, object) : '',
  }
  if (found.isQuarantined) return { at, media, leftOut: 'quarantined' }
  if (found.isLost) return { at, media, leftOut: 'missing' }
  return { at, media, open: () => openNow(parts, found) }
}

/** A page of names is worked on for minutes: meanwhile a transfer may have moved some of them, and users deleted others. */
async function openNow({ db, datastores }: ExportSourceParts, listed: ExportableMedia) {
  const opened = await openObject(datastores, listed.object)
  if (opened) return opened
  const [now] = await exportableMedia(db.read, [listed])
  if (now?.object.sha256 !== listed.object.sha256) return 'deleted'
  return await openObject(datastores, now.object)
}

/** `https://<endpoint>/<bucket>/<key>`, as MMR writes it; '' for what is in no bucket. */
function s3UrlOf(datastores: Pick<Datastores, 'get'>, { datastore, location }: ExportableMedia['object']): string {
  const uri = datastores.get(datastore)?.uri ?? ''
  return uri.startsWith('s3://') ? `${uri.replace('s3://', 'https://')}/${location}` : ''
}

interface Place {
  readonly datastore: string
  readonly location: string
}

/** The bytes of an object, or undefined where they are not there. */
export async function openObject(datastores: Pick<Datastores, 'get'>, place: Place): Promise<OpenBytes | undefined> {
  const datastore = datastores.get(place.datastore)
  if (!datastore) return undefined
  try {
    const opened = await datastore.open(place.location)
    return {
      size: opened.size,
      read: () => (opened.size === 0 ? nothing() : opened.read({ start: 0, end: opened.size - 1 })),
      [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
    }
  } catch (error) {
    if (error instanceof ObjectMissing) return undefined
    throw error
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
