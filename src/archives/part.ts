import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Pack, pack as newPack } from 'tar-stream'
import { gzipNamed } from './gzip.ts'
import type { ArchivedFile, ArchivedMedia } from './manifest.ts'
import { entryName, partName, TELLING_BYTES } from './names.ts'

/** The bytes of a media, to be read once. Dispose it when done. A chunk need only be valid until the next one is asked for. */
export interface OpenBytes extends AsyncDisposable {
  readonly size: number
  read(): AsyncIterable<Uint8Array>
}

/** Why a media is not in an archive. */
export type LeftOut = 'quarantined' | 'missing' | 'damaged'

/** What is to be archived, one after the other. `at`: what comes behind it comes later. */
export type Archivable = { readonly at: string; readonly media: ArchivedMedia } & (
  | {
      /** Undefined: the bytes are lost; `deleted`: so is the media, since it was listed. */ open(): Promise<
        OpenBytes | 'deleted' | undefined
      >
    }
  | { readonly leftOut: LeftOut }
)

export interface LeftOutMedia extends ArchivedMedia {
  readonly leftOut: LeftOut
}

/** What a part came to hold. */
export interface PartContents {
  /** `at` of the last one that was looked at. */
  readonly after: string
  readonly files: readonly ArchivedFile[]
  readonly leftOut: readonly LeftOutMedia[]
}

/** Small files count little in bytes, but each is a line to remember. */
const MOST_FILES = 10_000
const BLOCK = 512

export interface Part {
  readonly fileName: string
  /** The compressed part, while it is made: files are read as far as this is. */
  readonly bytes: AsyncIterable<Uint8Array>
  /** Once all of `bytes` was read. */
  contents(): PartContents
}

/**
 * A part with as many of the next media as bring it to `targetBytes` before compression, or undefined, where nothing is left at
 * all. Nothing is held in memory but a few buffers, and what the manifest is to say.
 */
export async function nextPart(
  index: number,
  next: AsyncIterator<Archivable, unknown>,
  targetBytes: number,
): Promise<Part | undefined> {
  const first = await next.next()
  if (first.done) return undefined
  const fileName = partName(index)
  const filling = new Filling(targetBytes)
  const tar = newPack()
  const bytes = async function* () {
    const filled = filling.fill(tar, first.value, next).catch((error: unknown) => {
      tar.destroy(error instanceof Error ? error : new Error(String(error)))
      throw error
    })
    filled.catch(() => {})
    try {
      yield* gzipNamed(fileName.replace('.tgz', '.tar'), tar as AsyncIterable<Uint8Array>)
    } finally {
      tar.destroy()
    }
    await filled
  }
  return { fileName, bytes: bytes(), contents: () => filling.contents() }
}

class Filling {
  readonly #target: number
  readonly #files: ArchivedFile[] = []
  readonly #leftOut: LeftOutMedia[] = []
  #bytes = 0
  #after = ''

  constructor(target: number) {
    this.#target = target
  }

  contents(): PartContents {
    return { after: this.#after, files: this.#files, leftOut: this.#leftOut }
  }

  async fill(tar: Pack, first: Archivable, next: AsyncIterator<Archivable, unknown>): Promise<void> {
    for (let one: Archivable | undefined = first; one;) {
      await this.#add(tar, one)
      this.#after = one.at
      if (this.#isFull()) break
      const following = await next.next()
      one = following.done ? undefined : following.value
    }
    tar.finalize()
  }

  #isFull(): boolean {
    const looked = this.#files.length + this.#leftOut.length
    return this.#bytes >= this.#target || looked >= MOST_FILES
  }

  async #add(tar: Pack, one: Archivable): Promise<void> {
    if ('leftOut' in one) return this.#leave(one.media, one.leftOut)
    const found = await one.open()
    if (found === 'deleted') return
    await using opened = found
    if (!opened) return this.#leave(one.media, 'missing')
    // A tar says sizes first: what is another one cannot be written at all.
    if (opened.size !== one.media.size) return this.#leave(one.media, 'damaged')
    const { begin, rest } = await peek(opened.read())
    const fileName = await entryName(one.media, begin)
    const sha256 = await addEntry(tar, { name: fileName, size: opened.size, modifiedAt: one.media.createdAt }, rest)
    this.#bytes += BLOCK + Math.ceil(opened.size / BLOCK) * BLOCK
    // Its bytes are in the part by now. The manifest does not name them, so that nobody takes them for the media.
    if (sha256 !== one.media.sha256) return this.#leave(one.media, 'damaged')
    this.#files.push({ ...one.media, fileName })
  }

  #leave(media: ArchivedMedia, leftOut: LeftOut): void {
    this.#leftOut.push({ ...media, leftOut })
  }
}

interface Entry {
  readonly name: string
  readonly size: number
  /** ms since 1970. */
  readonly modifiedAt: number
}

/** Adds a file to a tar; gives the SHA-256 of its bytes. Throws, if they are not as many as announced. */
export async function addEntry(
  tar: Pack,
  { name, size, modifiedAt }: Entry,
  bytes: AsyncIterable<Uint8Array>,
): Promise<string> {
  const hash = createHash('sha256')
  const sink = tar.entry({ name, size, mode: 0o644, mtime: new Date(modifiedAt), type: 'file' })
  const hashed = async function* () {
    for await (const chunk of bytes) {
      hash.update(chunk)
      // The tar keeps it until it is compressed, and its owner uses the buffer again.
      yield Buffer.from(chunk)
    }
  }
  await pipeline(Readable.from(hashed()), sink as unknown as NodeJS.WritableStream)
  return hash.digest('hex')
}

/** The first bytes, and all of them. */
async function peek(bytes: AsyncIterable<Uint8Array>) {
  const iterator = bytes[Symbol.asyncIterator]()
  const seen: Buffer[] = []
  let length = 0
  while (length < TELLING_BYTES) {
    const { done, value } = await iterator.next()
    if (done === true) break
    seen.push(Buffer.from(value))
    length += value.length
  }
  const rest = async function* () {
    yield* seen
    yield* { [Symbol.asyncIterator]: () => iterator }
  }
  return { begin: Buffer.concat(seen).subarray(0, TELLING_BYTES), rest: rest() }
}
