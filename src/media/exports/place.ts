import type { ArchivedFile } from '../../archives/manifest.ts'
import type { LeftOut, PartContents } from '../../archives/part.ts'
import type { ArchivePlace } from '../../archives/write.ts'
import type { HomeserverConfig } from '../../config/schema.ts'
import type { Database } from '../../db/connect.ts'
import { countExported, exportedMedia, type ExportedMedia } from '../../db/export-media.ts'
import { type ArchivePart, exportParts, findExport, finishExport, keepExportPart, type Kept } from '../../db/exports.ts'
import type { HeldTask } from '../../db/tasks.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { type ChooseParts, chooseDatastore } from '../choose.ts'

export interface PlaceParts extends ChooseParts {
  readonly db: Pick<Database, 'read' | 'write'>
  readonly clock: Clock
  readonly log: Log
}

/** The task that writes is not to go on: cancelled, another instance's, or nobody wants the export any more. */
export class ExportStopped extends Error {
  override readonly name = 'ExportStopped'
  readonly why: Exclude<Kept, 'held'>

  constructor(why: Exclude<Kept, 'held'>) {
    super(`the export is not to go on: ${why}`)
    this.why = why
  }
}

interface Writing {
  readonly exportId: string
  readonly held: HeldTask
  /** Whose datastores are used. */
  readonly homeserver: Pick<HomeserverConfig, 'datastores'>
}

/** Where an export's files go: into a datastore for archives, with what is in them in the database. */
export function exportPlace(parts: PlaceParts, { exportId, held, homeserver }: Writing): ArchivePlace {
  const { db, clock } = parts
  const keep = async (
    { fileName, part, bytes }: { fileName: string; part: number; bytes: AsyncIterable<Uint8Array> },
    commit: (file: ArchivePart) => Promise<Kept>,
  ) => {
    const datastore = await chooseDatastore(parts, 'archives', homeserver.datastores)
    await using staged = await datastore.stage(bytes, { maxBytes: 0 })
    const { size, sha256 } = staged
    const location = await datastore.put(staged, { contentType: 'application/gzip' })
    const file = { part, fileName, size, sha256, datastore: datastore.id, location }
    const kept = await commit(file)
    if (kept === 'held') return
    await discard(parts, file)
    throw new ExportStopped(kept)
  }
  return {
    async begun() {
      const [found, files] = await Promise.all([findExport(db.read, exportId), exportParts(db.read, exportId)])
      return { parts: files.length, after: found?.after ?? undefined }
    },
    keepPart: (part) =>
      keep({ ...part, part: part.index }, async (file) => {
        const { after, ...contents } = part.contents()
        return await db.write(keepExportPart, { held, exportId, file, after, media: rowsOf(contents) })
      }),
    async *files() {
      for await (const media of mediaIn(parts, exportId)) if (media.fileName !== '') yield fileOf(media)
    },
    leftOut: () => leftOutOf(db, exportId),
    async keepManifest(file) {
      const part = (await exportParts(db.read, exportId)).length + 1
      await keep({ ...file, part }, (kept) => db.write(finishExport, { held, exportId, file: kept, at: clock.now() }))
    },
  }
}

async function discard({ datastores, log }: PlaceParts, file: ArchivePart): Promise<void> {
  const { datastore, location } = file
  await datastores.delete(file).catch((error: unknown) => {
    log.warn({ err: error, datastore, location }, 'a file of an export is left that no record names; a sweep finds it')
  })
}

function rowsOf({ files, leftOut }: Pick<PartContents, 'files' | 'leftOut'>): readonly ExportedMedia[] {
  return [...files.map((file) => ({ ...file, leftOut: '' })), ...leftOut.map((media) => ({ ...media, fileName: '' }))]
}

const PAGE = 1000

async function* mediaIn({ db }: Pick<PlaceParts, 'db'>, exportId: string) {
  for (let after = 0; ;) {
    const page = await exportedMedia(db.read, { exportId, after, limit: PAGE })
    const last = page.at(-1)
    if (!last) return
    yield* page
    after = last.number
  }
}

function fileOf(media: ExportedMedia): ArchivedFile {
  const { origin, mediaId, uploader, name, contentType, createdAt, size, sha256, s3Url, fileName } = media
  return { origin, mediaId, uploader, name, contentType, createdAt, size, sha256, s3Url, fileName }
}

/** How many media an export left out, for which reasons. */
async function leftOutOf(
  db: Pick<Database, 'read'>,
  exportId: string,
): Promise<Readonly<Partial<Record<LeftOut, number>>>> {
  const counts = await countExported(db.read, exportId)
  return Object.fromEntries([...counts].filter(([reason]) => reason !== ''))
}
