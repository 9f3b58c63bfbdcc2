import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Manifest, ManifestMedia } from '../archives/manifest.ts'
import { type ArchiveEntry, findManifest, readEntries } from '../archives/read.ts'
import { ObjectMissing } from '../datastores/datastore.ts'
import { stage } from '../datastores/staging.ts'
import { bareFileName } from '../lib/file-name.ts'
import { mediaTypeOf } from '../lib/media-type.ts'
import { ConfigError } from '../lib/errors.ts'
import { serverOf } from '../matrix/ids.ts'
import type { OutgoingBytes, OutgoingRow, OutgoingSource } from './records.ts'

/** An archive that lies in a folder: its manifest, and its parts in their order. */
export interface ArchiveFolder {
  readonly folder: string
  readonly manifest: Manifest
  readonly parts: readonly string[]
}

const BATCH = 500

/** @throws {ConfigError} where there is none */
export async function openArchiveFolder(folder: string): Promise<ArchiveFolder> {
  const files = await readdir(folder).catch((cause: unknown) => {
    throw new ConfigError([`the folder ${folder} of the archive cannot be read: ${String(cause)}`], { cause })
  })
  const parts = files
    .filter((name) => name.endsWith('.tgz'))
    .toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }))
  // It is written last, under a name of its own.
  for (const name of parts.toSorted((a, b) => Number(b.includes('manifest')) - Number(a.includes('manifest')))) {
    const manifest = await findManifest(createReadStream(join(folder, name)))
    if (manifest) return { folder, manifest, parts }
  }
  throw new ConfigError([
    `${folder} has no whole archive: one of its .tgz files (export-manifest.tgz) has to have a manifest in it`,
  ])
}

/** The server whose media an archive has: its own name, or that of its user. */
export const serverOfArchive = ({ manifest: { entity } }: ArchiveFolder): string => serverOf(entity) ?? entity

interface ArchiveParts {
  readonly serverName: string
  /** Gives where files are kept for a moment that have several names, or whose hash the archive does not say. */
  readonly staging: () => Promise<string>
}

/** The media of an archive, in the order of its files, and then those that it has no files of. */
export function archiveMedia(archive: ArchiveFolder, parts: ArchiveParts): OutgoingSource {
  const { folder, manifest } = archive
  return {
    name: `the archive ${folder}`,
    count: async () => manifest.media.length,
    async *pages() {
      const byFile = Map.groupBy(manifest.media, ({ fileName }) => fileName)
      for (const part of archive.parts) {
        for await (const entry of readEntries(createReadStream(join(folder, part)))) {
          const media = byFile.get(entry.name)
          byFile.delete(entry.name)
          if (media) yield* rowsOfEntry(entry, media, parts)
        }
      }
      yield [...byFile.values()].flat().map((media) => rowOf(media, missing(folder, media), parts))
    },
  }
}

/** The same as its manifest tells, without a look at the files: to be compared. */
export function archiveNames(
  { folder, manifest }: ArchiveFolder,
  parts: Pick<ArchiveParts, 'serverName'>,
): OutgoingSource {
  return {
    name: `the archive ${folder}`,
    count: async () => manifest.media.length,
    async *pages() {
      for (let begin = 0; begin < manifest.media.length; begin += BATCH) {
        const some = manifest.media.slice(begin, begin + BATCH)
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
  media: readonly ManifestMedia[],
  parts: ArchiveParts,
): AsyncGenerator<readonly OutgoingRow[]> {
  const [only, ...others] = media
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
  yield media.map((one) => rowOf({ ...one, sha256: one.sha256 ?? staged.sha256 }, bytes, parts))
}

function missing(folder: string, { fileName }: ManifestMedia): OutgoingBytes {
  return {
    read() {
      throw new ObjectMissing(folder, fileName)
    },
    size: async () => undefined,
  }
}

function rowOf(
  media: ManifestMedia,
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
