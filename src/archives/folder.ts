import { Buffer } from 'node:buffer'
import { rmSync } from 'node:fs'
import { access, constants, open, rename, rm, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { makeLastingFolder, syncFolder } from '../lib/durable.ts'
import { ConfigError, isUnwritable, messagesOf, Refused } from '../lib/errors.ts'
import { lockFile } from '../lib/process-lock.ts'
import type { ArchivedFile } from './manifest.ts'
import { MANIFEST_FILE } from './names.ts'
import type { LeftOut, LeftOutMedia, PartContents } from './part.ts'
import type { ArchivePlace } from './write.ts'

/** What the parts hold, until the manifest says it: a line about the archive, then some for each part. */
const JOURNAL = '.cellarium-export.jsonl'
/** One export at a time writes to a folder. */
const LOCK = '.cellarium-export.lock'

type Line =
  | { readonly archive: string; readonly createdAt: number }
  | { readonly file: ArchivedFile }
  | { readonly leftOut: LeftOutMedia }
  /** All lines before it are of parts that are whole. */
  | { readonly part: number; readonly after: string }

/** Dispose it when the export has ended, however it did: only then may others write to the folder. */
export interface FolderPlace extends ArchivePlace, Disposable {
  /** ms since 1970: when the export began that this one is, or goes on with. */
  readonly createdAt: number
}

/**
 * A folder for the files of an archive. An export of `entity` into it that was broken off is gone on with.
 *
 * @throws {Refused} where there is another archive in it, or somebody else exports to it right now
 * @throws {ConfigError} where it is no folder, or nothing can be written to it
 */
export async function folderPlace(folder: string, entity: string, now: number): Promise<FolderPlace> {
  await makeWritable(folder)
  using ending = new DisposableStack()
  lockFolder(folder, ending)
  const journal = join(folder, JOURNAL)
  const begun = await readJournal(journal)
  if (!begun && (await isThere(join(folder, MANIFEST_FILE)))) {
    throw refused(`${folder} has an archive in it already: name another folder`)
  }
  if (begun && begun.entity !== entity) {
    throw refused(`${folder} has a part of an archive of ${begun.entity} in it: name another folder`)
  }
  const createdAt = begun?.createdAt ?? now
  if (begun) await truncate(journal, begun.bytes)
  else await append(journal, [{ archive: entity, createdAt }])
  await syncFolder(folder)
  let { parts = 0, after, leftOut = {} }: Partial<Begun> = begun ?? {}
  const ended = ending.move()
  return {
    [Symbol.dispose]: () => ended.dispose(),
    createdAt,
    begun: () => Promise.resolve({ parts, after }),
    async keepPart(part) {
      const { index, fileName, bytes } = part
      await writeWhole(folder, fileName, bytes)
      const held = part.contents()
      await append(journal, linesOf(index, held))
      parts = index
      after = held.after
      for (const one of held.leftOut) leftOut = oneMore(leftOut, one.leftOut)
    },
    async *files() {
      for await (const { line } of linesIn(journal)) if ('file' in line) yield line.file
    },
    leftOut: () => Promise.resolve(leftOut),
    async keepManifest({ fileName, bytes }) {
      await writeWhole(folder, fileName, bytes)
      await rm(journal)
      await syncFolder(folder)
    },
  }
}

function lockFolder(folder: string, ending: DisposableStack): void {
  const path = join(folder, LOCK)
  const lock = lockWhereItCan(path)
  if (!lock) throw refused(`another export writes to ${folder} at the moment: wait for its end, or name another folder`)
  ending.use(lock)
  ending.defer(() => rmSync(path, { force: true }))
}

/** Some network file systems know no locks: there nobody is kept out. */
function lockWhereItCan(path: string): Disposable | undefined {
  try {
    return lockFile(path)
  } catch {
    return { [Symbol.dispose]: () => {} }
  }
}

interface Begun {
  readonly entity: string
  readonly createdAt: number
  readonly parts: number
  readonly after: string | undefined
  readonly leftOut: Readonly<Partial<Record<LeftOut, number>>>
  /** Of the journal, up to the end of the last part that is whole. */
  readonly bytes: number
}

async function readJournal(journal: string): Promise<Begun | undefined> {
  let begun: Begun | undefined
  let leftOut: Partial<Record<LeftOut, number>> = {}
  for await (const { line, end } of linesIn(journal)) {
    if ('archive' in line) {
      begun = { entity: line.archive, createdAt: line.createdAt, parts: 0, after: undefined, leftOut, bytes: end }
    } else if ('leftOut' in line) {
      leftOut = oneMore(leftOut, line.leftOut.leftOut)
    } else if ('part' in line && begun) {
      begun = { ...begun, parts: line.part, after: line.after, leftOut, bytes: end }
    }
  }
  return begun
}

const oneMore = (counts: Readonly<Partial<Record<LeftOut, number>>>, reason: LeftOut) => ({
  ...counts,
  [reason]: (counts[reason] ?? 0) + 1,
})

/** As far as it was written: a crash may have cut its last line. `end`: where the next one begins, in bytes. */
async function* linesIn(journal: string): AsyncGenerator<{ readonly line: Line; readonly end: number }> {
  const file = await open(journal).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  })
  if (!file) return
  let end = 0
  for await (const text of createInterface({ input: file.createReadStream(), crlfDelay: Infinity })) {
    const line = parsed(text)
    if (!line) return
    end += Buffer.byteLength(text) + 1
    yield { line, end }
  }
}

function parsed(text: string): Line | undefined {
  try {
    return JSON.parse(text) as Line
  } catch {
    return undefined
  }
}

function linesOf(index: number, { files, leftOut, after }: PartContents): readonly Line[] {
  return [...files.map((file) => ({ file })), ...leftOut.map((one) => ({ leftOut: one })), { part: index, after }]
}

async function append(journal: string, lines: readonly Line[]): Promise<void> {
  await using file = await open(journal, 'a', 0o600)
  await file.appendFile(lines.map((line) => `${textOf(line)}\n`).join(''))
  await file.sync()
}

/** Names of files may have these in them, and they end lines for whoever reads them (`node:readline`). */
const textOf = (line: Line): string =>
  JSON.stringify(line)
    .replaceAll('\u2028', String.raw`\u2028`)
    .replaceAll('\u2029', String.raw`\u2029`)

/** A file is there under its name once it is whole and on the disk. */
async function writeWhole(folder: string, name: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  const partial = join(folder, `${name}.partial`)
  {
    await using file = await open(partial, 'w', 0o600)
    for await (const chunk of bytes) await file.writeFile(chunk).catch(naming(partial))
    await file.sync().catch(naming(partial))
  }
  await rename(partial, join(folder, name))
  await syncFolder(folder)
}

/** Of a full disk the system does not say which. */
const naming = (path: string) => (cause: unknown) => {
  if (isUnwritable(cause)) throw refused(`${path} cannot be written: ${messagesOf(cause).join(': ')}`, cause)
  throw cause
}

async function isThere(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  )
}

async function makeWritable(folder: string): Promise<void> {
  try {
    await makeLastingFolder(folder, 0o700)
    await access(folder, constants.W_OK | constants.X_OK)
  } catch (cause) {
    throw new ConfigError([`the folder ${folder} cannot be used: ${messagesOf(cause).join(': ')}`], { cause })
  }
}

const refused = (message: string, cause?: unknown) => new Refused('bad_request', message, { cause })
