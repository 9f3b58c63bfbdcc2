import { Buffer } from 'node:buffer'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { extract as newExtract, type Header } from 'tar-stream'
import { messagesOf, Refused, Unavailable } from '../lib/errors.ts'
import { MANIFEST_ENTRY, type ManifestHead, type ManifestMedia, readManifest } from './manifest.ts'
import { isPlainName } from './names.ts'

/** A file in an archive. Read `bytes` before the next one is asked for, or leave them. */
export interface ArchiveEntry {
  readonly name: string
  readonly size: number
  readonly bytes: AsyncIterable<Uint8Array>
}

export interface ReadLimits {
  /** How much may come out of one file, in bytes. However much: never more than honest media give, as a bomb does. */
  readonly mayHold?: number
}

const MiB = 1024 * 1024
/** So much comes out of whatever file. */
const ALWAYS = 1024 * MiB
/** Beyond that, more than this for each byte that went in is a bomb. Media hardly shrink; 1032 is what deflate can do. */
const MOST_RATIO = 200

/**
 * The files in one file of an archive, one after the other. Only such as an archive has: plain files with plain names. Leaving the loop
 * early ends the reading.
 *
 * @throws {Refused} `bad_request`, when it is something else: links, folders, paths, no tar in gzip, cut off, a bomb
 */
export async function* readEntries(
  file: AsyncIterable<Uint8Array>,
  limits: ReadLimits = {},
): AsyncGenerator<ArchiveEntry> {
  const tar = newExtract()
  const seen = { packed: 0, unpacked: 0 }
  const source = { error: undefined as unknown }
  const flow = pipeline(
    fromSource(file, seen, source),
    createGunzip(),
    (chunks: AsyncIterable<Uint8Array>) => guarded(chunks, seen, limits),
    tar as unknown as NodeJS.WritableStream,
  )
  flow.catch(() => {})
  try {
    for await (const entry of tar) {
      yield { ...plain(entry.header), bytes: bytesOf(entry as AsyncIterable<Uint8Array>, source) }
      entry.resume()
    }
    await flow
  } catch (error) {
    throw whatBroke(error, source)
  } finally {
    tar.destroy()
  }
}

/** What breaks while somebody reads an entry is thrown there, and not where entries are waited for. */
async function* bytesOf(entry: AsyncIterable<Uint8Array>, source: { readonly error: unknown }) {
  try {
    yield* entry
  } catch (error) {
    throw whatBroke(error, source)
  }
}

function whatBroke(error: unknown, source: { readonly error: unknown }): unknown {
  // A datastore that broke off says nothing about the archive.
  if (source.error !== undefined) return source.error
  if (error instanceof Refused || error instanceof Unavailable) return error
  return isAboutFormat(error) ? refused(messagesOf(error).join(': '), error) : error
}

/**
 * The manifest in one file of an archive, or undefined, where it has none. `keep` gets its media while it is read (`readManifest`).
 *
 * @throws {Refused} as `readEntries`, and for a manifest that is not as it should be
 */
export async function findManifest(
  file: AsyncIterable<Uint8Array>,
  keep: (media: readonly ManifestMedia[]) => void,
): Promise<ManifestHead | undefined> {
  for await (const { name, bytes } of readEntries(file)) {
    if (name === MANIFEST_ENTRY) return await readManifest(bytes, keep)
  }
  return undefined
}

async function* fromSource(
  file: AsyncIterable<Uint8Array>,
  seen: { packed: number },
  source: { error: unknown },
): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of file) {
      seen.packed += chunk.length
      // It waits to be decompressed, and its owner uses the buffer again.
      yield Buffer.from(chunk)
    }
  } catch (error) {
    source.error = error
    throw error
  }
}

async function* guarded(
  chunks: AsyncIterable<Uint8Array>,
  seen: { readonly packed: number; unpacked: number },
  { mayHold = Infinity }: ReadLimits,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    seen.unpacked += chunk.length
    const most = Math.min(mayHold, ALWAYS + MOST_RATIO * seen.packed)
    if (seen.unpacked > most) throw refused(`more comes out of it than it can hold (${most} bytes)`)
    yield chunk
  }
}

function plain({ name, type, size }: Header): Pick<ArchiveEntry, 'name' | 'size'> {
  const shown = JSON.stringify(name.slice(0, 200))
  if (type !== 'file') throw refused(`${shown} is no file but a ${type}`)
  if (!isPlainName(name)) throw refused(`${shown} is no name of a file in an archive`)
  return { name, size: size ?? 0 }
}

/** What gunzip (`Z_…`) and tar say of bytes that are not theirs; other codes are the system's. */
function isAboutFormat(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code
  return code === undefined || code.startsWith('Z_') || code.startsWith('ERR_STREAM')
}

const refused = (what: string, cause?: unknown) =>
  new Refused('bad_request', `The archive is refused: ${what}`, { cause })
