import { type Manifest, type ManifestMedia } from '../archives/manifest.ts'
import { findManifest, readEntries } from '../archives/read.ts'
import { Refused } from '../lib/errors.ts'

/** A file of an archive: a part, or the one with the manifest. */
export interface ArchiveFile {
  /** For messages. */
  readonly name: string
  /** All of its bytes, from the beginning; may be called again. */
  open(): AsyncIterable<Uint8Array>
}

/** A media and the file of the archive in which its bytes are; null: in none. */
export interface PlannedMedia {
  readonly media: ManifestMedia
  readonly file: ArchiveFile | null
}

/** What an archive holds, in the order of its bytes. */
export interface ArchivePlan {
  readonly manifest: Manifest
  readonly media: readonly PlannedMedia[]
  /** Files in its parts that the manifest does not name. */
  readonly unnamed: number
}

/** Where the manifest is, if it is where MMR puts it: looked at first, so that parts need not be gone through for it. */
const isLikely = ({ name }: ArchiveFile) => /manifest/i.test(name)

/**
 * The manifest that is in one of these files, and in which; undefined, where none has it.
 *
 * @throws {Refused} `bad_request` for what is no archive
 */
export async function manifestIn(
  files: readonly ArchiveFile[],
): Promise<{ readonly manifest: Manifest; readonly file: ArchiveFile } | undefined> {
  const ordered = [...files.filter(isLikely), ...files.filter((file) => !isLikely(file))]
  for (const file of ordered) {
    const manifest = await named(file, () => findManifest(file.open()))
    if (manifest) return { manifest, file }
  }
  return undefined
}

/**
 * Goes through all files of an archive before anything is taken out of it, so that of a hostile or broken one nothing is kept: each
 * has to be what an archive's file is, and to hold no more than the manifest says.
 *
 * @throws {Refused} `bad_request`, with the file's name
 */
export async function planArchive(manifest: Manifest, files: readonly ArchiveFile[]): Promise<ArchivePlan> {
  const byFile = Map.groupBy(manifest.media, ({ fileName }) => fileName)
  const planned = new Map<ManifestMedia, PlannedMedia>()
  const mayHold = mostIn(manifest)
  let unnamed = 0
  for (const file of files) {
    await named(file, async () => {
      for await (const { name, size } of readEntries(file.open(), { mayHold })) {
        const media = byFile.get(name)
        if (!media) unnamed += ACCOMPANYING.has(name) ? 0 : 1
        for (const one of media ?? []) if (one.size === size) planned.set(one, { media: one, file })
      }
    })
  }
  const rest = manifest.media.filter((media) => !planned.has(media)).map((media) => ({ media, file: null }))
  return { manifest, media: [...planned.values(), ...rest], unnamed }
}

/** How many of the manifest's media have a file in it. */
export const filesIn = ({ media }: ArchivePlan): number => media.filter(({ file }) => file !== null).length

const ACCOMPANYING: ReadonlySet<string> = new Set(['manifest.json', 'index.html'])
const FOR_EACH = 4096
const ANYWAY = 1024 ** 3

/** What one file of an archive can hold at most, in bytes: all of it, with what a tar needs, and the manifest itself. */
function mostIn({ media }: Manifest): number {
  return ANYWAY + media.reduce((sum, { size }) => sum + size + FOR_EACH, 0)
}

async function named<Result>(file: ArchiveFile, read: () => Promise<Result>): Promise<Result> {
  try {
    return await read()
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    throw new Refused(error.reason, `${file.name}: ${error.message}`, { cause: error })
  }
}
