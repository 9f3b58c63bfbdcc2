import { Buffer } from 'node:buffer'
import { pack as newPack } from 'tar-stream'
import { gzipNamed } from './gzip.ts'
import { indexPage } from './index-page.ts'
import { type ArchivedFile, MANIFEST_ENTRY, MANIFEST_TAIL, manifestHead, manifestMember } from './manifest.ts'
import { MANIFEST_FILE } from './names.ts'
import { addEntry, type Archivable, type LeftOut, nextPart, type PartContents } from './part.ts'

/** Where an archive goes. It remembers what it has, so that whoever is broken off goes on there. */
export interface ArchivePlace {
  /** How many parts are kept, and `after` of the last one. */
  begun(): Promise<{ readonly parts: number; readonly after: string | undefined }>
  /** Keeps a part and what it holds, both or neither, durably. `contents` may be asked once all bytes were read. */
  keepPart(part: {
    readonly index: number
    readonly fileName: string
    readonly bytes: AsyncIterable<Uint8Array>
    contents(): PartContents
  }): Promise<void>
  /** What all kept parts hold, in their order; each time it is asked the same. */
  files(): AsyncIterable<ArchivedFile>
  leftOut(): Promise<Readonly<Partial<Record<LeftOut, number>>>>
  /** Keeps the manifest, durably: now the archive is whole. */
  keepManifest(file: { readonly fileName: string; readonly bytes: AsyncIterable<Uint8Array> }): Promise<void>
}

export interface ArchiveOptions {
  /** A user id or a server name. */
  readonly entity: string
  /** ms since 1970; of a run that goes on, the same as before. */
  readonly createdAt: number
  /** Size of a part before compression, in bytes (`archiving.targetBytesPerPart`). */
  readonly targetBytes: number
  readonly signal: AbortSignal
}

/**
 * Writes an archive (version 2, as MMR's): parts as large as wanted, then the manifest. `media` gives what comes behind a
 * place, in an order that stays the same.
 */
export async function writeArchive(
  place: ArchivePlace,
  media: (after: string | undefined) => AsyncIterable<Archivable>,
  { entity, createdAt, targetBytes, signal }: ArchiveOptions,
): Promise<void> {
  const begun = await place.begun()
  const next = media(begun.after)[Symbol.asyncIterator]()
  try {
    for (let index = begun.parts + 1; ; index++) {
      signal.throwIfAborted()
      const part = await nextPart(index, next, targetBytes)
      if (!part) break
      await place.keepPart({ index, ...part })
    }
  } finally {
    await next.return?.()
  }
  await place.keepManifest({ fileName: MANIFEST_FILE, bytes: manifestBytes(place, { entity, createdAt }) })
}

type About = Pick<ArchiveOptions, 'entity' | 'createdAt'>

function manifestBytes(place: ArchivePlace, about: About): AsyncGenerator<Uint8Array> {
  const tar = newPack()
  const fill = async () => {
    const modifiedAt = about.createdAt
    const leftOut = await place.leftOut()
    const entries = [
      { name: MANIFEST_ENTRY, text: () => manifestText(place, about) },
      { name: 'index.html', text: () => indexPage(about, place.files(), leftOut) },
    ]
    for (const { name, text } of entries) {
      await addEntry(tar, { name, size: await lengthOf(text()), modifiedAt }, inBytes(text()))
    }
    tar.finalize()
  }
  const filled = fill().catch((error: unknown) => {
    tar.destroy(error instanceof Error ? error : new Error(String(error)))
    throw error
  })
  filled.catch(() => {})
  return gzipNamed(MANIFEST_FILE.replace('.tgz', '.tar'), tar as AsyncIterable<Uint8Array>)
}

async function* manifestText(place: ArchivePlace, { entity, createdAt }: About): AsyncGenerator<string> {
  yield manifestHead(entity, createdAt)
  let comma = ''
  for await (const file of place.files()) {
    yield comma + manifestMember(file)
    comma = ','
  }
  yield MANIFEST_TAIL
}

/** A tar says sizes first, and the text is never in memory as a whole: it is made twice. */
async function lengthOf(text: AsyncIterable<string>): Promise<number> {
  let length = 0
  for await (const piece of text) length += Buffer.byteLength(piece)
  return length
}

const BUFFER = 64 * 1024

async function* inBytes(text: AsyncIterable<string>): AsyncGenerator<Uint8Array> {
  let waiting = ''
  for await (const piece of text) {
    waiting += piece
    if (waiting.length < BUFFER) continue
    yield Buffer.from(waiting)
    waiting = ''
  }
  if (waiting !== '') yield Buffer.from(waiting)
}
