import { createHash, type Hash } from 'node:crypto'
import type { ManifestHead, ManifestMedia } from '../archives/manifest.ts'
import { findManifest, readEntries, type ReadLimits } from '../archives/read.ts'
import { ArchiveIndex } from '../db/archive-index.ts'
import { Refused } from '../lib/errors.ts'
import { formatMxc } from '../matrix/ids.ts'

/** A file of an archive: a part, or the one with the manifest. */
export interface ArchiveFile {
  /** For messages. */
  readonly name: string
  /** All of its bytes, from the beginning; may be called again. */
  open(): AsyncIterable<Uint8Array>
}

/** What an archive says of itself. Dispose it when done. */
export interface ArchiveManifest extends ManifestHead, Disposable {
  /** All of its media. */
  readonly index: ArchiveIndex
  /** Which file has it. */
  readonly file: ArchiveFile
  /** Of what it says of its media, in its order. */
  readonly hash: Hash
}

/** Where the manifest is, if it is where MMR puts it: looked at first, so that parts need not be gone through for it. */
const isLikely = ({ name }: ArchiveFile) => /manifest/i.test(name)

export interface Reading {
  /** A folder with room for what the manifest names. */
  readonly temporary: string
  readonly signal: AbortSignal
}

/**
 * The manifest that is in one of these files; undefined, where none has it.
 *
 * @throws {Refused} `bad_request` for what is no archive
 */
export async function manifestIn(
  files: readonly ArchiveFile[],
  { temporary, signal }: Reading,
): Promise<ArchiveManifest | undefined> {
  using ending = new DisposableStack()
  const index = ending.use(ArchiveIndex.open(temporary))
  const hash = createHash('sha256')
  const keep = (media: readonly ManifestMedia[]) => {
    const twice = index.add(media)
    if (twice) throw new Refused('bad_request', `its manifest.json names ${formatMxc(twice)} twice`)
    hash.update(media.map((one) => `${formatMxc(one)} ${JSON.stringify(one.fileName)} ${one.size}\n`).join(''))
  }
  const ordered = [...files.filter(isLikely), ...files.filter((file) => !isLikely(file))]
  for (const file of ordered) {
    const head = await named(file, () => findManifest(until(signal, file.open()), keep))
    if (!head) continue
    const ended = ending.move()
    return { ...head, index, file, hash, [Symbol.dispose]: () => ended.dispose() }
  }
  return undefined
}

/** What an archive holds, in the order of its bytes. Dispose it when done. */
export interface ArchivePlan extends Pick<ArchiveManifest, 'entity' | 'index'>, Disposable {
  /** The parts that its media are in, by their numbers. */
  readonly files: readonly ArchiveFile[]
  /** Files in its parts that the manifest does not name. */
  readonly unnamed: number
  /** The same for the same media in the same order, and only then. */
  readonly digest: string
}

/**
 * Goes through all files of an archive before anything is taken out of it, so that of a hostile or broken one nothing is kept: each
 * has to be what an archive's file is, and to hold no more than the manifest says. The manifest is disposed of with the plan.
 *
 * @throws {Refused} `bad_request`, with the file's name
 */
export async function planArchive(
  manifest: ArchiveManifest,
  files: readonly ArchiveFile[],
  signal: AbortSignal,
): Promise<ArchivePlan> {
  using ending = new DisposableStack()
  const { entity, index, hash } = ending.use(manifest)
  const mayHold = mostIn(index)
  let unnamed = 0
  for (const [part, file] of files.entries()) {
    for await (const entry of entriesOf(file, signal, { mayHold })) {
      const found = index.foundFile(entry, part)
      if (found === 'unnamed') unnamed++
      else hash.update(`${part} ${entry.size} ${entry.name}\n`)
    }
  }
  const ended = ending.move()
  return { entity, index, files, unnamed, digest: hash.digest('hex'), [Symbol.dispose]: () => ended.dispose() }
}

/**
 * How many files that may be media a file of an archive has.
 *
 * @throws {Refused} `bad_request`, with the file's name
 */
export async function countEntries(file: ArchiveFile, signal: AbortSignal): Promise<number> {
  let count = 0
  for await (const _ of entriesOf(file, signal)) count++
  return count
}

async function* entriesOf(file: ArchiveFile, signal: AbortSignal, limits: ReadLimits = {}) {
  const entries = readEntries(until(signal, file.open()), limits)
  try {
    for (;;) {
      const { done, value } = await named(file, () => entries.next())
      if (done === true) return
      if (!ACCOMPANYING.has(value.name)) yield { name: value.name, size: value.size }
    }
  } finally {
    await entries.return(undefined)
  }
}

async function* until(signal: AbortSignal, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    signal.throwIfAborted()
    yield chunk
  }
}

const ACCOMPANYING: ReadonlySet<string> = new Set(['manifest.json', 'index.html'])
const FOR_EACH = 4096
const ANYWAY = 1024 ** 3

/** What one file of an archive can hold at most, in bytes: all of it, with what a tar needs, and the manifest itself. */
const mostIn = ({ media, bytes }: ArchiveIndex) => ANYWAY + bytes + media * FOR_EACH

async function named<Result>(file: ArchiveFile, read: () => Promise<Result>): Promise<Result> {
  try {
    return await read()
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    throw new Refused(error.reason, `${file.name}: ${error.message}`, { cause: error })
  }
}
