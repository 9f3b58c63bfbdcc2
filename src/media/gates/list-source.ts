import { open, stat } from 'node:fs/promises'

/** Where a list of hashes is, and how to ask for it. */
export interface ListSource {
  /** The path of a file, or an address that begins with http. */
  readonly source: string
  /** The `Authorization` header to send; empty: none. */
  readonly authorization: string
}

/** What a list looked like when it was read, to see whether it has changed: ETag and date, or time and size of a file. */
export type Mark = Readonly<Record<string, string>>

/** A list that has changed since the mark. */
export interface ChangedList {
  readonly mark: Mark
  readonly pieces: AsyncIterable<Uint8Array>
}

/** As a text, ten million hashes with reasons. */
const MOST_BYTES = 2 * 1024 ** 3
/** How long nothing may come of a list, in ms. */
const IDLE_MS = 30_000
/** How long all of it may take, in ms. */
const TOTAL_MS = 10 * 60_000

/**
 * Opens a list if it is another one than when `mark` was made; else undefined. Addresses are the administrator's own, and are not
 * guarded; redirects are not followed, so that credentials go nowhere else.
 */
export async function openList(list: ListSource, mark: Mark, signal: AbortSignal): Promise<ChangedList | undefined> {
  return /^https?:\/\//.test(list.source) ? await openAddress(list, mark, signal) : await openFile(list.source, mark)
}

async function openFile(path: string, mark: Mark): Promise<ChangedList | undefined> {
  const { mtimeMs, size, ino } = await stat(path)
  const now = { changed: `${mtimeMs} ${size} ${ino}` }
  if (mark['changed'] === now.changed) return undefined
  return { mark: now, pieces: bounded(fileOf(path)) }
}

async function* fileOf(path: string): AsyncGenerator<Uint8Array> {
  await using file = await open(path)
  yield* file.createReadStream({ autoClose: false })
}

async function openAddress(list: ListSource, mark: Mark, signal: AbortSignal): Promise<ChangedList | undefined> {
  const { request } = await import('undici')
  const { authorization } = list
  const { statusCode, headers, body } = await request(list.source, {
    signal: AbortSignal.any([signal, AbortSignal.timeout(TOTAL_MS)]),
    headersTimeout: IDLE_MS,
    bodyTimeout: IDLE_MS,
    headers: { accept: 'text/plain', ...mark, ...(authorization === '' ? {} : { authorization }) },
  })
  if (statusCode === 304) {
    await body.dump()
    return undefined
  }
  if (statusCode !== 200) {
    await body.dump()
    throw new Error(`it answered ${statusCode} instead of 200`)
  }
  const { etag, 'last-modified': date } = headers
  const next = {
    ...(typeof etag === 'string' ? { 'if-none-match': etag } : {}),
    ...(typeof date === 'string' ? { 'if-modified-since': date } : {}),
  }
  return { mark: next, pieces: bounded(body) }
}

async function* bounded(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const piece of pieces) {
    bytes += piece.length
    if (bytes > MOST_BYTES) throw new Error(`it has more than ${MOST_BYTES} bytes`)
    yield piece
  }
}
