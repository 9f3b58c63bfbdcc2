import type { Datastores } from '../datastores/datastores.ts'
import { countAllMedia, type DeletedName, deletedAfter, mediaAfter, type WholeMedia } from '../db/all-media.ts'
import type { Database } from '../db/connect.ts'
import type { MediaName } from '../db/quarantine-changes.ts'
import { ObjectMissing } from '../datastores/datastore.ts'
import type { OutgoingBytes, OutgoingRow, OutgoingSource } from './records.ts'

export interface OurMediaParts {
  readonly db: Pick<Database, 'read'>
  readonly datastores: Pick<Datastores, 'get' | 'sizeOf'>
  readonly serverName: string
  /** Whether another server is a homeserver of ours. */
  readonly isOurs: (origin: string) => boolean
  /** Only media of the homeserver itself, no copies of others'. */
  readonly localOnly: boolean
}

/** Few enough that a killed run loses little, many enough that commits do not count. */
const BATCH = 500
const FIRST: MediaName = { origin: '', mediaId: '' }

/** What we have for a homeserver: its own media and copies of others', then what was deleted here. */
export function ourMedia(parts: OurMediaParts): OutgoingSource {
  const { db, serverName } = parts
  return {
    name: `synapse ${serverName}`,
    count: () => countAllMedia(db.read),
    async *pages() {
      yield* pagesOf(
        (after) => mediaAfter(db.read, after, BATCH),
        (media) => rowOf(parts, media),
      )
      yield* pagesOf(
        (after) => deletedAfter(db.read, after, BATCH),
        (name) => deletedRowOf(parts, name),
      )
    },
  }
}

async function* pagesOf<One extends MediaName>(
  read: (after: MediaName) => Promise<readonly One[]>,
  shape: (one: One) => OutgoingRow,
): AsyncGenerator<readonly OutgoingRow[]> {
  for (let after = FIRST; ;) {
    const some = await read(after)
    const last = some.at(-1)
    if (!last) return
    yield some.map(shape)
    after = { origin: last.origin, mediaId: last.mediaId }
  }
}

function rowOf(parts: OurMediaParts, media: WholeMedia): OutgoingRow {
  const { origin, mediaId, kind } = media
  const at = { origin, mediaId }
  if (kind === 'preview') return { at, passed: 'preview' }
  const isLocal = origin === parts.serverName
  if (!isLocal && parts.isOurs(origin)) return { at, passed: 'ours' }
  if (!isLocal && parts.localOnly) return { at, passed: 'remote' }
  return {
    at,
    record: {
      ...media,
      authenticated: media.authenticatedAt !== null,
      // Empty: nobody noted who.
      quarantinedBy: media.quarantinedAt === null ? null : (media.quarantinedBy ?? ''),
      isProtected: media.protectedAt !== null,
      bytes: bytesOf(parts, media),
    },
  }
}

/** Names whose content is blocked stay so; of others it is told if they are there. */
function deletedRowOf({ serverName, isOurs }: OurMediaParts, name: DeletedName): OutgoingRow {
  const { origin, mediaId, sha256, deletedAt, quarantinedAt } = name
  const at = { origin, mediaId }
  if (origin !== serverName && isOurs(origin)) return { at, passed: 'ours' }
  if (quarantinedAt === null) return { at, deleted: at }
  return {
    at,
    record: {
      ...at,
      sha256,
      contentType: 'application/octet-stream',
      uploadName: null,
      uploader: null,
      createdAt: deletedAt,
      accessedAt: null,
      authenticated: true,
      quarantinedBy: '',
      isProtected: false,
      size: name.size ?? 0,
    },
  }
}

function bytesOf({ datastores }: OurMediaParts, media: WholeMedia): OutgoingBytes {
  const { location } = media
  const datastore = datastores.get(media.datastore)
  return {
    path: datastore?.localPath?.(location),
    size: () => datastores.sizeOf(media),
    async *read() {
      if (!datastore) throw new ObjectMissing(media.datastore, location)
      await using opened = await datastore.open(location)
      if (opened.size > 0) yield* opened.read({ start: 0, end: opened.size - 1 })
    },
  }
}
