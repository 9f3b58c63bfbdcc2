import { type RemoteFile, type RemoteFiles, RemoteFileGone } from '../coordination/redis/remote-files.ts'
import { commitJudgedMedia } from '../db/judged.ts'
import { commitMedia, findMedia, isBlockedContent, type MediaRecord } from '../db/media.ts'
import type { Clock } from '../lib/clock.ts'
import { type EventParts, redisWrong, remoteFileShared } from '../lib/events.ts'
import { formatMxc, type Mxc } from '../matrix/ids.ts'
import type { UsableDatastore } from '../datastores/datastores.ts'
import type { StagedFile } from '../datastores/staging.ts'
import { chooseDatastore } from './choose.ts'
import { afterRemoteJudged, asCommitted, type JudgingParts, judgeRemote } from './judged.ts'
import { type ObjectParts, storeObject } from './objects.ts'

export interface SharedRemoteParts extends ObjectParts, JudgingParts {
  readonly remoteFiles: RemoteFiles
  readonly events: Pick<EventParts, 'log' | 'metrics'>
  readonly clock: Clock
}

/** What of a homeserver's configuration matters here. */
export interface FetchingHomeserver {
  readonly name: string
  /** 0: no limit. */
  readonly downloads: { readonly maxBytes: number }
  readonly datastores: readonly UsableDatastore[]
  /** Only authenticated callers may have what is recorded from now on, also where the other repository lets everybody. */
  readonly freezeUnauthenticatedMedia: boolean
}

/**
 * Leaves a file that was just fetched from its origin for repositories with another database. Only gives up, never fails: to
 * be called when the file is stored, without waiting for it. Quarantined content stays here.
 */
export async function shareRemote(parts: SharedRemoteParts, record: MediaRecord): Promise<void> {
  const { remoteFiles, events } = parts
  if (record.kind !== 'remote' || record.quarantinedAt !== null || !remoteFiles.takes(record.size)) return
  try {
    if (await isBlockedContent(parts.db.read, record.sha256)) return
    await using opened = await parts.datastores.open(record)
    await remoteFiles.leave(formatMxc(record), describe(record), async (start, length) => {
      const chunks: Buffer[] = []
      for await (const chunk of opened.read({ start, end: start + length - 1 })) chunks.push(Buffer.from(chunk))
      return Buffer.concat(chunks)
    })
    remoteFileShared(events, 'left')
  } catch (error) {
    parts.log.debug({ err: error, sha256: record.sha256 }, 'a remote file could not be left in Redis')
  }
}

/** What is wanted of another repository's files, and for whom. */
export interface SharedWish {
  readonly homeserver: FetchingHomeserver
  readonly mxc: Mxc
  readonly signal: AbortSignal
}

/**
 * Takes a remote file that another repository has fetched, instead of asking its origin: streamed into the datastore,
 * believed only if its bytes have the hash that was said of them, recorded as if it had come from the origin. Undefined when
 * it is not there, too large for this homeserver, blocked here, or not what it was said to be: then the origin is asked.
 *
 * Whether the caller may have it is decided as for any other record, by its access rules; `mxc` has passed those for hosts.
 *
 * @throws {RemoteFileRefused} when a gate does not let it through: it is no other file at its origin
 */
export async function fetchShared(
  parts: SharedRemoteParts,
  { homeserver, mxc, signal }: SharedWish,
): Promise<MediaRecord | undefined> {
  const file = await findShared(parts, mxc)
  if (!file) return undefined
  const { maxBytes } = homeserver.downloads
  if (maxBytes > 0 && file.size > maxBytes) return undefined
  if (await isBlockedContent(parts.db.read, file.sha256)) return undefined
  const datastore = await chooseDatastore(parts, 'remote_media', homeserver.datastores)
  await using staged = await receiveShared(parts, file, (source) =>
    datastore.stage(source, { maxBytes: file.size, expectedBytes: file.size }),
  )
  if (!staged) return undefined
  if (staged.sha256 !== file.sha256) {
    redisWrong(parts.events, 'remote file', formatMxc(mxc))
    await parts.remoteFiles.forget(formatMxc(mxc)).catch(() => {})
    return undefined
  }
  const media = { ...mediaOf(homeserver, mxc, file), createdAt: parts.clock.now() }
  const judgement = await judgeRemote(parts, { ...media, staged, homeserver: homeserver.name, signal })
  const result = await storeObject(parts, staged, { datastore, contentType: file.contentType }, (object) =>
    judgement.reports.length === 0
      ? parts.db.write(commitMedia, { ...media, object })
      : parts.db.write(commitJudgedMedia, { media: { ...media, object }, ...asCommitted(judgement) }),
  ).catch((error: unknown) => ({ outcome: 'failed' as const, error }))
  await afterRemoteJudged(parts, { origin: mxc.origin, mediaId: mxc.mediaId, sha256: staged.sha256 }, judgement, result)
  // Where it failed, another request may have recorded the same file meanwhile.
  const record = result.outcome === 'blocked' ? undefined : await findMedia(parts.db.read, mxc.origin, mxc.mediaId)
  if (!record && result.outcome === 'failed') throw result.error
  if (record) remoteFileShared(parts.events, 'taken')
  return record
}

async function findShared(parts: SharedRemoteParts, mxc: Mxc): Promise<RemoteFile | undefined> {
  try {
    return await parts.remoteFiles.find(formatMxc(mxc))
  } catch (error) {
    parts.log.debug({ err: error }, 'Redis could not be asked for a remote file')
    return undefined
  }
}

async function receiveShared(
  parts: SharedRemoteParts,
  file: RemoteFile,
  stage: (source: AsyncIterable<Uint8Array>) => Promise<StagedFile>,
): Promise<StagedFile | undefined> {
  try {
    return await stage(parts.remoteFiles.read(file))
  } catch (error) {
    if (!(error instanceof RemoteFileGone)) throw error
    parts.log.debug({ err: error, sha256: file.sha256 }, 'a remote file went from Redis before it was read')
    return undefined
  }
}

function describe(record: MediaRecord): RemoteFile {
  const { sha256, size, contentType, uploadName } = record
  return { sha256, size, contentType, uploadName, authenticated: record.authenticatedAt !== null }
}

function mediaOf(homeserver: FetchingHomeserver, { origin, mediaId }: Mxc, file: RemoteFile) {
  const { contentType, uploadName } = file
  const authenticated = file.authenticated || homeserver.freezeUnauthenticatedMedia
  return {
    origin,
    mediaId,
    contentType,
    uploadName,
    authenticated,
    kind: 'remote',
    uploader: null,
    reserved: false,
  } as const
}
