import { createReadStream } from 'node:fs'
import { access, constants, readdir, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ArchiveEntry, readEntries } from '../archives/read.ts'
import { ObjectMissing } from '../datastores/datastore.ts'
import { stage } from '../datastores/staging.ts'
import type { IndexedMedia } from '../db/archive-index.ts'
import { type ArchiveManifest, manifestIn } from '../imports/archive-plan.ts'
import { bareFileName } from '../lib/file-name.ts'
import { mediaTypeOf } from '../lib/media-type.ts'
import { ConfigError } from '../lib/errors.ts'
import { serverOf } from '../matrix/ids.ts'
import type { OutgoingBytes, OutgoingRow, OutgoingSource } from './records.ts'

/** An archive that lies in a folder: its manifest, and its parts in their order. Dispose it when done. */
export interface ArchiveFolder extends Pick<ArchiveManifest, 'entity' | 'index'>, Disposable {
  readonly folder: string
  readonly parts: readonly string[]
}

const BATCH = 500

/** @throws {ConfigError} where there is none */
export async function openArchiveFolder(folder: string, signal: AbortSignal): Promise<ArchiveFolder> {
  const names = await readdir(folder).catch((cause: unknown) => {
    throw new ConfigError([`the folder ${folder} of the archive cannot be read: ${String(cause)}`], { cause })
  })
  const parts = names
    .filter((name) => name.endsWith('.tgz'))
    .toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }))
  const files = parts.map((name) => ({ name, open: () => createReadStream(join(folder, name)) }))
  const manifest = await manifestIn(files, { temporary: await roomFor(folder), signal })
  if (manifest) return { ...manifest, folder, parts }
  throw new ConfigError([
    `${folder} has no whole archive: one of its .tgz files (export-manifest.tgz) has to have a manifest in it`,
  ])
}

/** Beside the archive, where there is room for what it names; elsewhere only, if nothing may be written there. */
async function roomFor(folder: string): Promise<string> {
  return await access(folder, constants.W_OK).then(
    () => folder,
    () => tmpdir(),
  )
}

/** The server whose media an archive has: its own name, or that of its user. */
export const serverOfArchive = ({ entity }: ArchiveFolder): string => serverOf(entity) ?? entity

interface ArchiveParts {
  readonly serverName: string
  /** Gives where files are kept for a moment that have several names, or whose hash the archive does not say. */
  readonly staging: () => Promise<string>
}

/** The media of an archive, in the order of its files, and then those that it has no files of. */
export function archiveMedia(archive: ArchiveFolder, parts: ArchiveParts): OutgoingSource {
  const { folder, index } = archive
  return {
    name: `the archive ${folder}`,
    count: async () => index.media,
    async *pages() {
      for (const [number, part] of archive.parts.entries()) {
        for await (const entry of readEntries(createReadStream(join(folder, part)))) {
          if (index.foundFile(entry, number) === 'new') yield* rowsOfEntry(entry, index, parts)
        }
      }
      for (const media of index.withoutFile(BATCH)) {
        yield media.map((one) => rowOf(one, missing(folder, one), parts))
      }
    },
  }
}

/** The same as its manifest tells, without a look at the files: to be compared. */
export function archiveNames(
  { folder, index }: ArchiveFolder,
  parts: Pick<ArchiveParts, 'serverName'>,
): OutgoingSource {
  return {
    name: `the archive ${folder}`,
    count: async () => index.media,
    async *pages() {
      for (const some of index.withoutFile(BATCH)) {
        yield some.map((media) =>
          withoutAuthentication(rowOf(media, { ...missing(folder, media), size: async () => media.size }, parts)),
        )
      }
    },
  }
}

/** What an archive does not tell, nothing there can be less than. */
const withoutAuthentication = (row: OutgoingRow): OutgoingRow =>
  'record' in row ? { ...row, record: { ...row.record, authenticated: false } } : row

async function* rowsOfEntry(
  entry: ArchiveEntry,
  index: ArchiveFolder['index'],
  parts: ArchiveParts,
): AsyncGenerator<readonly OutgoingRow[]> {
  const [[only, ...others] = []] = index.ofFile(entry, BATCH)
  if (only?.sha256 !== undefined && others.length === 0) {
    yield [rowOf(only, { read: () => entry.bytes, size: async () => entry.size }, parts)]
    return
  }
  await using staged = await stage(await parts.staging(), entry.bytes, { maxBytes: 0 })
  // Media are links to it.
  await staged.sync()
  const bytes = {
    path: staged.path,
    read: () => createReadStream(staged.path),
    size: async () => (await stat(staged.path)).size,
  }
  for (const media of index.ofFile(entry, BATCH)) {
    yield media.map((one) => rowOf({ ...one, sha256: one.sha256 ?? staged.sha256 }, bytes, parts))
  }
}

function missing(folder: string, { fileName }: IndexedMedia): OutgoingBytes {
  return {
    read() {
      throw new ObjectMissing(folder, fileName)
    },
    size: async () => undefined,
  }
}

function rowOf(
  media: IndexedMedia,
  bytes: OutgoingBytes,
  { serverName }: Pick<ArchiveParts, 'serverName'>,
): OutgoingRow {
  const { origin, mediaId, createdAt, size, uploader } = media
  const at = { origin, mediaId }
  if (origin !== serverName) return { at, passed: 'remote' }
  return {
    at,
    record: {
      ...at,
      contentType: mediaTypeOf(media.contentType),
      uploadName: bareFileName(media.name),
      uploader: serverOf(uploader) === origin ? uploader : null,
      createdAt,
      accessedAt: null,
      // Archives do not tell. So Synapse notes it of what is uploaded to it; what nobody but members got must not be for everybody.
      authenticated: true,
      quarantinedBy: null,
      isProtected: false,
      size,
      sha256: media.sha256 ?? '',
      bytes,
    },
  }
}
