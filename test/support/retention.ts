/** A database and a folder with media of every kind, in every state that retention minds. */
import { createHash, randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Database } from '../../src/db/connect.ts'
import { type CommittedMedia, commitMedia, touchMedia } from '../../src/db/media.ts'
import { commitPreview, touchPreviews } from '../../src/db/previews.ts'
import type { OfferedObject } from '../../src/db/objects.ts'
import { commitThumbnail, touchThumbnails, type ThumbnailKey } from '../../src/db/thumbnails.ts'
import { Reads } from '../../src/media/reads.ts'
import type { Retention } from '../../src/media/retention-rules.ts'
import { deleteUnused } from '../../src/media/unused.ts'
import { previewsJob } from '../../src/tasks/previews.ts'
import { retentionJobs } from '../../src/tasks/retention.ts'
import type { JsonObject } from '../../src/db/json.ts'
import { thumbnailsJob } from '../../src/tasks/thumbnails.ts'
import { type Engine, openPlace, type Place } from './care.ts'

export const DAY_MS = 86_400_000
export const never = new AbortController().signal
export const FOR_EVER: Retention = { remoteDays: 0, thumbnailDays: 0, previewDays: 0, local: [] }
const ORIGINS = { upload: 'example.org', remote: 'remote.example', preview: 'example.org' }

/** How some media are, beside old. Nothing: uploaded 100 days ago, and never read since. */
export interface Made extends Partial<Pick<CommittedMedia, 'origin' | 'uploader' | 'contentType'>> {
  readonly size?: number
  readonly ageDays?: number
  /** Its content is that of this one. */
  readonly like?: string
  readonly readDaysAgo?: number
  /** An instance has noted that it was read just now, and not written it down yet. */
  readonly noted?: true
}

export interface Keeping extends AsyncDisposable {
  readonly place: Place
  /** Two instances on the database; what is noted is noted at the second. */
  readonly reads: Reads
  readonly add: (kind: keyof typeof ORIGINS, mediaId: string, made?: Made) => Promise<string>
  readonly mark: (mediaId: string, state: 'protected' | 'quarantined') => Promise<void>
  /** A preview of a page that shows a picture. */
  readonly preview: (picture: string, made?: Pick<Made, 'ageDays' | 'readDaysAgo' | 'noted'>) => Promise<void>
  /** A thumbnail of some content, named by its width. */
  readonly thumbnail: (source: string, width: number, made?: Pick<Made, 'readDaysAgo' | 'noted'>) => Promise<void>
  /** Runs every job that removes what nobody uses, once, and deletes bytes that were handed over; gives the reports. */
  readonly run: (retention: Retention, last?: Readonly<Record<string, JsonObject>>) => Promise<Record<string, unknown>>
  /** What is left: names, widths of thumbnails, hosts of previews. */
  readonly left: () => Promise<string[]>
  /** Contents that rows name, of media and of thumbnails; those that have rows of their own; those whose bytes are there. */
  readonly contents: () => Promise<Record<'named' | 'objects' | 'files', number>>
}

export async function openKeeping(engine: Engine, most?: number): Promise<Keeping> {
  await using cleanup = new AsyncDisposableStack()
  const place = cleanup.use(await openPlace(engine))
  const { db, clock, notifier, datastores } = place
  const other = cleanup.use(await place.another())
  const { log, metrics } = place.events
  const reads = cleanup.use(new Reads({ db: other, notifier, clock, log }))
  cleanup.use(new Reads({ db, notifier, clock, log }))
  const contents = new Map<string, OfferedObject>()
  const daysAgo = (days: number) => clock.now() - days * DAY_MS
  const offer = async (name: string, like: string | undefined, size: number): Promise<OfferedObject> => {
    const known = like === undefined ? undefined : contents.get(like)
    const bytes = randomBytes(size)
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    const object = known
      ? { ...known, fresh: false }
      : { sha256, size, datastore: 'media', location: await place.putOnly(bytes), fresh: true }
    contents.set(name, object)
    return object
  }
  const parts = { db, clock, notifier, datastores, events: { log, metrics } }
  const owned = cleanup.move()
  return {
    place,
    reads,
    add: async (kind, mediaId, made = {}) => {
      const { size = 1000, ageDays = 100, like, readDaysAgo, noted } = made
      const origin = made.origin ?? ORIGINS[kind]
      const { uploader = kind === 'upload' ? '@alice:example.org' : null, contentType = 'image/png' } = made
      const named = { origin, mediaId, kind, uploader, contentType, uploadName: null, createdAt: daysAgo(ageDays) }
      const object = await offer(mediaId, like, size)
      const media = { ...named, authenticated: false, reserved: false, object }
      const { outcome } = await db.write(commitMedia, media)
      if (outcome !== 'stored') throw new Error(`${mediaId}: ${outcome}`)
      if (readDaysAgo !== undefined) await db.write(touchMedia, [{ origin, mediaId, at: daysAgo(readDaysAgo) }])
      if (noted) reads.note({ origin, mediaId, accessedAt: daysAgo(ageDays) })
      return object.sha256
    },
    mark: (mediaId, state) =>
      place.execute(`UPDATE media SET ${state}_at = ${clock.now()} WHERE media_id = '${mediaId}'`),
    preview: async (picture, { ageDays = 100, readDaysAgo, noted } = {}) => {
      const homeserver = ORIGINS.preview
      const object = contents.get(picture)
      if (!object) throw new Error(`there is no picture ${picture}`)
      const createdAt = daysAgo(ageDays)
      const key = { homeserver, urlHash: `page of ${picture}`, language: 'en' }
      const shown = {
        mediaId: picture,
        contentType: 'image/png',
        authenticated: false,
        object: { ...object, fresh: false },
      }
      const { outcome } = await db.write(commitPreview, {
        ...key,
        url: `https://${picture}.example/`,
        site: `example.${picture}.`,
        answer: '{}',
        error: null,
        previewer: 'page',
        picture: shown,
        createdAt,
        expiresAt: createdAt + 3_600_000,
        lease: null,
      })
      if (outcome !== 'stored') throw new Error(`the preview of ${picture}: ${outcome}`)
      const row = { ...key, hour: createdAt - (createdAt % 3_600_000) }
      if (readDaysAgo !== undefined) await db.write(touchPreviews, [{ ...row, at: daysAgo(readDaysAgo) }])
      if (noted) reads.notePreview(row, createdAt)
    },
    thumbnail: async (source, width, { readDaysAgo, noted } = {}) => {
      const sourceSha256 = contents.get(source)?.sha256 ?? ''
      const key: ThumbnailKey = { sourceSha256, width, height: width, method: 'scale', variant: 'still' }
      const object = await offer(`thumbnail ${width}`, undefined, 100)
      const stored = { ...key, madeFor: ORIGINS.upload, contentType: 'image/png', createdAt: daysAgo(100), object }
      const { outcome } = await db.write(commitThumbnail, stored)
      if (outcome !== 'stored') throw new Error(`thumbnail ${width}: ${outcome}`)
      if (readDaysAgo !== undefined) await db.write(touchThumbnails, [{ ...key, at: daysAgo(readDaysAgo) }])
      if (noted) reads.noteThumbnail(key.sourceSha256, key, { variant: key.variant, usedAt: daysAgo(100) })
    },
    run: async (retention, last = {}) => {
      const jobs = [
        ...retentionJobs(parts, () => retention, most),
        thumbnailsJob(parts, () => retention.thumbnailDays),
        previewsJob(parts, () => retention.previewDays),
      ]
      const reports: Record<string, unknown> = {}
      for (const { name, run } of jobs) {
        const ran = await run({ lease: { name, token: 'ours' }, signal: never, last: last[name] })
        if (ran) reports[name] = ran.report
      }
      await place.execute('UPDATE unused_objects SET delete_after = 0')
      await deleteUnused({ db, datastores, events: { log, metrics } }, never)
      return reports
    },
    left: () => leftIn(db),
    contents: async () => ({ ...(await contentsIn(db)), files: await filesIn(place.folder) }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function leftIn({ read }: Pick<Database, 'read'>): Promise<string[]> {
  const media = await read.selectFrom('media').select('media_id').execute()
  const thumbnails = await read.selectFrom('thumbnails').select('width').execute()
  const previews = await read.selectFrom('previews').select('url').execute()
  return [
    ...media.map((row) => row.media_id),
    ...thumbnails.map(({ width }) => `thumbnail ${width}`),
    ...previews.map(({ url }) => new URL(url).hostname),
  ].toSorted()
}

async function contentsIn({ read }: Pick<Database, 'read'>): Promise<Record<'named' | 'objects', number>> {
  const media = await read.selectFrom('media').select('sha256').execute()
  const thumbnails = await read.selectFrom('thumbnails').select(['sha256', 'source_sha256']).execute()
  const named = [...media.map((row) => row.sha256), ...thumbnails.flatMap((row) => [row.sha256, row.source_sha256])]
  const objects = await read.selectFrom('objects').select('sha256').execute()
  return { named: new Set(named).size, objects: objects.length }
}

async function filesIn(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile() && !join(entry.parentPath, '/').includes('.staging')).length
}
