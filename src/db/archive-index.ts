import { randomBytes } from 'node:crypto'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync, type SQLOutputValue } from 'node:sqlite'
import { messagesOf, StorageUnavailable } from '../lib/errors.ts'

/** A media as an archive's manifest has it. Times in ms since 1970, sizes in bytes. */
export interface IndexedMedia {
  readonly origin: string
  readonly mediaId: string
  readonly uploader: string
  readonly name: string
  readonly contentType: string
  readonly createdAt: number
  readonly size: number
  readonly sha256: string | undefined
  readonly s3Url: string
  readonly fileName: string
}

/** Where a media is among the others: those with a file in the order of the files, then those without. */
export interface IndexPlace {
  readonly at: number
  readonly number: number
}

export interface PlacedMedia extends IndexedMedia {
  readonly place: IndexPlace
  /** Which part of the archive has its file, as it was told; null: none that is known. */
  readonly part: number | null
}

export interface NamedFile {
  readonly name: string
  readonly size: number
}

/** `again`: a file of this name and size was found before. */
export type FoundFile = 'new' | 'again' | 'of another size' | 'unnamed'

export interface IndexPage {
  readonly media: readonly PlacedMedia[]
  /** Behind which the next ones are, though there may be none there; undefined: there are none. */
  readonly next: IndexPlace | undefined
}

/** Media of one file name and size are of one file. `places`: the files that were found, in the order in which they were. */
const SCHEMA = `
  CREATE TABLE files (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, size INTEGER NOT NULL, at INTEGER, part INTEGER, UNIQUE (name, size));
  CREATE TABLE places (at INTEGER PRIMARY KEY, file INTEGER NOT NULL);
  CREATE TABLE media (
    number INTEGER PRIMARY KEY, origin TEXT NOT NULL, media_id TEXT NOT NULL, file INTEGER NOT NULL, uploader TEXT NOT NULL,
    name TEXT NOT NULL, content_type TEXT NOT NULL, created_at INTEGER NOT NULL, sha256 TEXT, s3_url TEXT NOT NULL,
    UNIQUE (origin, media_id));
  CREATE INDEX media_of_file ON media (file);`

const COLUMNS = `m.number, f.at, f.part, m.origin, m.media_id AS mediaId, m.uploader, m.name, m.content_type AS contentType,
  m.created_at AS createdAt, f.size, m.sha256, m.s3_url AS s3Url, f.name AS fileName`

const CACHE_KIB = 32 * 1024
const FIRST: IndexPlace = { at: 0, number: 0 }
/** Behind all files. */
const WITHOUT_FILE = Number.MAX_SAFE_INTEGER

/**
 * The media of one archive, in a file that nobody else sees: an archive may name more of them than fit in memory. Needs about as much room
 * as the manifest.
 *
 * @throws {StorageUnavailable} from all of it, where there is no room
 */
export class ArchiveIndex implements Disposable {
  readonly #path: string
  readonly #db: DatabaseSync
  readonly #statements
  #media = 0
  #bytes = 0
  #files = 0
  #found = 0
  #places = 0

  private constructor(path: string) {
    this.#path = path
    this.#db = new DatabaseSync(path)
    this.#remove()
    try {
      this.#db.exec(`PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA cache_size = -${CACHE_KIB}`)
      // Never committed, and never needed again: it begins with nothing, so that there is nothing to journal either.
      this.#db.exec(`BEGIN; ${SCHEMA}`)
      this.#statements = statementsOn(this.#db)
    } catch (error) {
      this[Symbol.dispose]()
      throw error
    }
  }

  /** An empty one, in `folder`, which is made where it is missing. */
  static open(folder: string): ArchiveIndex {
    const path = join(folder, `archive-${randomBytes(8).toString('hex')}.sqlite`)
    return telling(path, () => {
      mkdirSync(folder, { recursive: true, mode: 0o750 })
      return new ArchiveIndex(path)
    })
  }

  /** How many media were added. */
  get media(): number {
    return this.#media
  }

  /** How many bytes they have, by what is said of them. */
  get bytes(): number {
    return this.#bytes
  }

  /** How many of them have a file that was found. */
  get found(): number {
    return this.#found
  }

  /** How many files of them were not found. */
  get lacking(): number {
    return this.#files - this.#places
  }

  /** How many media a user uploaded, or a server has. */
  countOf(owner: string): number {
    return telling(this.#path, () => Number(this.#statements.countOf.get(owner, owner)?.['count']))
  }

  /** Adds media; gives the first whose name was there already, and leaves it and those behind it. */
  add(media: readonly IndexedMedia[]): IndexedMedia | undefined {
    return telling(this.#path, () => media.find((one) => !this.#addOne(one)))
  }

  #addOne(media: IndexedMedia): boolean {
    const { origin, mediaId, uploader, name, contentType, createdAt, size, sha256 = null, s3Url, fileName } = media
    const { insertFile, findFile, insertMedia } = this.#statements
    const fresh = insertFile.run(fileName, size)
    const isFresh = fresh.changes > 0
    const file = isFresh ? fresh.lastInsertRowid : Number(findFile.get(fileName, size)?.['number'])
    const more = [uploader, name, contentType, createdAt, sha256, s3Url]
    if (insertMedia.run(origin, mediaId, file, ...more).changes === 0) return false
    this.#media++
    this.#bytes += size
    if (isFresh) this.#files++
    return true
  }

  /** Notes that `part` has a file of this name and size. Of two that have it, the later counts. */
  foundFile({ name, size }: NamedFile, part: number): FoundFile {
    return telling(this.#path, () => {
      const { findFile, isNamed, placeFile, movePlace, insertPlace, countMedia } = this.#statements
      const file = findFile.get(name, size)
      if (!file) return isNamed.get(name) ? 'of another size' : 'unnamed'
      const number = Number(file['number'])
      if (file['at'] !== null) {
        movePlace.run(part, number)
        return 'again'
      }
      this.#places++
      insertPlace.run(this.#places, number)
      placeFile.run(this.#places, part, number)
      this.#found += Number(countMedia.get(number)?.['count'])
      return 'new'
    })
  }

  /** Some media behind a place (undefined: from the first), at most `limit`. Looks at no more than that, so that it is done soon. */
  page(after: IndexPlace | undefined, limit: number): IndexPage {
    const { at, number } = after ?? FIRST
    if (at === WITHOUT_FILE) return this.#pageWithoutFile(number, limit)
    const media = this.#all('pageOfFiles', at, at, number, limit)
    const last = media.at(-1)
    if (last && media.length === limit) return { media, next: last.place }
    return { media, next: this.#found === this.#media ? undefined : { at: WITHOUT_FILE, number: 0 } }
  }

  /** The media of a file, at most `limit` at a time. */
  *ofFile({ name, size }: NamedFile, limit: number): Generator<readonly PlacedMedia[]> {
    for (let after = 0; ;) {
      const media = this.#all('ofFile', name, size, after, limit)
      const last = media.at(-1)
      if (!last) return
      yield media
      after = last.place.number
    }
  }

  /** The media whose files were not found, at most `limit` at a time. */
  *withoutFile(limit: number): Generator<readonly PlacedMedia[]> {
    for (let number: number | undefined = 0; number !== undefined;) {
      const { media, next }: IndexPage = this.#pageWithoutFile(number, limit)
      if (media.length > 0) yield media
      number = next?.number
    }
  }

  #pageWithoutFile(after: number, limit: number): IndexPage {
    const until = after + limit
    const media = this.#all('pageWithoutFile', after, until)
    return { media, next: until < this.#media ? { at: WITHOUT_FILE, number: until } : undefined }
  }

  find({ origin, mediaId }: Pick<IndexedMedia, 'origin' | 'mediaId'>): PlacedMedia | undefined {
    const [found] = this.#all('findMedia', origin, mediaId)
    return found
  }

  #all(statement: 'pageOfFiles' | 'pageWithoutFile' | 'ofFile' | 'findMedia', ...parameters: (string | number)[]) {
    return telling(this.#path, () => this.#statements[statement].all(...parameters).map(mediaOf))
  }

  /** While it is in use it has no name any more, so that the system removes it with this process, in whatever way that ends. */
  #remove(): void {
    try {
      rmSync(this.#path, { force: true })
    } catch {
      // Some systems remove no file that is open: then it is removed at the end.
    }
  }

  [Symbol.dispose](): void {
    this.#db.close()
    this.#remove()
  }
}

function statementsOn(db: DatabaseSync) {
  const select = `SELECT ${COLUMNS} FROM`
  return {
    insertFile: db.prepare('INSERT INTO files (name, size) VALUES (?, ?) ON CONFLICT DO NOTHING'),
    findFile: db.prepare('SELECT number, at FROM files WHERE name = ? AND size = ?'),
    isNamed: db.prepare('SELECT 1 FROM files WHERE name = ? LIMIT 1'),
    placeFile: db.prepare('UPDATE files SET at = ?, part = ? WHERE number = ?'),
    movePlace: db.prepare('UPDATE files SET part = ? WHERE number = ?'),
    insertPlace: db.prepare('INSERT INTO places VALUES (?, ?)'),
    insertMedia: db.prepare(`INSERT INTO media
      (origin, media_id, file, uploader, name, content_type, created_at, sha256, s3_url)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`),
    countMedia: db.prepare('SELECT count(*) AS count FROM media WHERE file = ?'),
    countOf: db.prepare('SELECT count(*) AS count FROM media WHERE uploader = ? OR origin = ?'),
    findMedia: db.prepare(`${select} media m JOIN files f ON f.number = m.file WHERE m.origin = ? AND m.media_id = ?`),
    // CROSS JOIN: in this order, whatever SQLite thinks of it.
    pageOfFiles: db.prepare(`${select} places p
      CROSS JOIN files f ON f.number = p.file CROSS JOIN media m ON m.file = f.number
      WHERE p.at >= ? AND (p.at > ? OR m.number > ?) ORDER BY p.at, m.number LIMIT ?`),
    pageWithoutFile: db.prepare(`${select} media m CROSS JOIN files f ON f.number = m.file
      WHERE m.number > ? AND m.number <= ? AND f.at IS NULL ORDER BY m.number`),
    ofFile: db.prepare(`${select} files f CROSS JOIN media m ON m.file = f.number
      WHERE f.name = ? AND f.size = ? AND m.number > ? ORDER BY m.number LIMIT ?`),
  }
}

function mediaOf(row: Readonly<Record<string, SQLOutputValue>>): PlacedMedia {
  const { number, at, part, sha256, ...media } = row as unknown as IndexedRow
  return { ...media, sha256: sha256 ?? undefined, part, place: { at: at ?? WITHOUT_FILE, number } }
}

interface IndexedRow extends Omit<IndexedMedia, 'sha256'> {
  readonly number: number
  readonly at: number | null
  readonly part: number | null
  readonly sha256: string | null
}

/** SQLite's for what cannot be opened, written or read, and for full disks. Source: https://sqlite.org/rescode.html */
const UNUSABLE = new Set([8, 10, 13, 14])

function telling<Result>(path: string, work: () => Result): Result {
  try {
    return work()
  } catch (error) {
    const { errcode = 0, syscall } = error as { readonly errcode?: number; readonly syscall?: string }
    if (!UNUSABLE.has(errcode & 0xff) && syscall === undefined) throw error
    const cause = new Error(
      `${path}, which is for what an archive names, cannot be used: ${messagesOf(error).join(': ')}`,
    )
    throw new StorageUnavailable(cause.message, { cause })
  }
}
