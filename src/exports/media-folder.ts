import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { chmod, chown, lstat, mkdir, rename, rm, rmdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ObjectMissing } from '../datastores/datastore.ts'
import { linkFile } from '../datastores/link-file.ts'
import { stage, sweepStaging } from '../datastores/staging.ts'
import { syncFolder } from '../lib/durable.ts'
import { isUnwritable, messagesOf, Refused, Unavailable } from '../lib/errors.ts'
import type { OutgoingBytes, OutgoingRecord } from './records.ts'

const STAGING = '.cellarium-staging'
const ABANDONED_AFTER_MS = 24 * 3600 * 1000

/** How a file came to its place. `completed`: it was there already. */
export type Put =
  | { readonly how: 'linked' | 'copied' | 'completed' }
  | { readonly problem: 'lost' | 'damaged' | 'unreadable' | 'occupied'; readonly details: string }

interface FolderOptions {
  /** Copies, even where a link would do. */
  readonly copy: boolean
  readonly now: number
}

interface Owner {
  readonly uid: number
  readonly gid: number
  readonly mode: number
}

/**
 * A homeserver's media folder. What is put there is whole, on stable storage, and the folder's owner's, or not there at all; nothing that
 * is there is changed.
 */
export class MediaFolder implements AsyncDisposable {
  readonly path: string
  readonly #owner: Owner
  readonly #copy: boolean
  readonly #openedAt: number

  private constructor(path: string, owner: Owner, { copy, now }: FolderOptions) {
    this.path = path
    this.#owner = owner
    this.#copy = copy
    this.#openedAt = now
  }

  /** @throws where it is no folder, or nothing can be written to it */
  static async open(path: string, { copy, now }: FolderOptions): Promise<MediaFolder> {
    const found = await stat(path)
    if (!found.isDirectory()) throw new Error(`${path} is no folder`)
    // Made when a file is first copied: who only looks leaves nothing.
    if (existsSync(join(path, STAGING))) await sweepStaging(join(path, STAGING), ABANDONED_AFTER_MS, now)
    return new MediaFolder(path, found, { copy, now })
  }

  /** How many bytes the file at `place` (below the folder) has; undefined: there is none. */
  async sizeOf(place: string): Promise<number | undefined> {
    const found = await lstat(join(this.path, place)).catch(unlessMissing)
    return found?.isFile() ? found.size : undefined
  }

  /** Puts a file to its place below the folder: by a link where that can be, else as a copy that is compared with the record. */
  async put(place: string, record: OutgoingRecord, bytes: OutgoingBytes): Promise<Put> {
    try {
      const target = join(this.path, place)
      const there = await this.#compare(target, record, bytes)
      if (there) return there
      await this.#makeFolders(dirname(place))
      if (await this.#link(target, record, bytes)) return { how: 'linked' }
      return await this.#copyTo(target, record, bytes)
    } catch (error) {
      if (error instanceof ObjectMissing || isMissing(error)) return { problem: 'lost', details: '' }
      // An archive that breaks off is of no more use.
      if (error instanceof Unavailable || error instanceof Refused || isUnwritable(error)) throw error
      return { problem: 'unreadable', details: messagesOf(error).join(': ') }
    }
  }

  /** Makes a thumbnail's place, and gives the path for it. */
  async placeFor(place: string): Promise<string> {
    await this.#makeFolders(dirname(place))
    return join(this.path, place)
  }

  /** Hands a file over that was made at `from`, durably, and gives its path. */
  async rename(from: string, to: string): Promise<string> {
    const path = join(this.path, to)
    await this.#own(join(this.path, from), 0o666)
    await rename(join(this.path, from), path)
    await syncFolder(dirname(path))
    return path
  }

  async delete(place: string): Promise<void> {
    await rm(join(this.path, place), { force: true })
  }

  /** Gives a folder for what is on its way, on the same disk. */
  async staging(): Promise<string> {
    const path = join(this.path, STAGING)
    await mkdir(path, { recursive: true, mode: 0o700 })
    return path
  }

  async #compare(target: string, record: OutgoingRecord, { path }: OutgoingBytes): Promise<Put | undefined> {
    const found = await lstat(target).catch(unlessMissing)
    if (!found) return undefined
    const ours = path === undefined ? undefined : await stat(path).catch(unlessMissing)
    const isLink = ours !== undefined && ours.ino === found.ino && ours.dev === found.dev
    const isSame = isLink || (found.isFile() && found.size === record.size && (await hashOf(target)) === record.sha256)
    return isSame ? { how: 'completed' } : { problem: 'occupied', details: `${target} has other bytes` }
  }

  async #link(target: string, record: OutgoingRecord, { path }: OutgoingBytes): Promise<boolean> {
    if (path === undefined || this.#copy) return false
    const found = await stat(path)
    // What looks damaged is read, so that it can be said what is wrong with it.
    if (found.size !== record.size || !this.#mayRead(found)) return false
    if (!(await linkFile(path, { to: target, readersOf: this.path, now: this.#openedAt }))) return false
    await syncFolder(dirname(target))
    return true
  }

  /** A link has the owner and the mode of our file, and the homeserver may run as somebody else. */
  #mayRead({ uid, gid, mode }: Owner): boolean {
    const { uid: owner, gid: group } = this.#owner
    return owner === 0 || owner === uid || (mode & 0o004) !== 0 || (group === gid && (mode & 0o040) !== 0)
  }

  async #copyTo(target: string, record: OutgoingRecord, bytes: OutgoingBytes): Promise<Put> {
    await using staged = await stage(await this.staging(), bytes.read(), { maxBytes: 0 })
    if (staged.size !== record.size || staged.sha256 !== record.sha256) {
      return { problem: 'damaged', details: `${staged.size} bytes, SHA-256 ${staged.sha256}` }
    }
    await this.#own(staged.path, 0o666)
    await staged.sync()
    await rename(staged.path, target)
    staged.used()
    await syncFolder(dirname(target))
    return { how: 'copied' }
  }

  async #makeFolders(place: string): Promise<void> {
    let at = this.path
    for (const segment of place.split('/')) {
      const folder = join(at, segment)
      if (await isMade(folder)) {
        await this.#own(folder, 0o777)
        await syncFolder(at)
      }
      at = folder
    }
  }

  /** Whoever owns the media folder owns what is in it: the homeserver may run as somebody else than this program. */
  async #own(path: string, mode: number): Promise<void> {
    await chmod(path, this.#owner.mode & mode)
    if (process.getuid?.() === 0) await chown(path, this.#owner.uid, this.#owner.gid)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Another run may be at work in it.
    await rmdir(join(this.path, STAGING)).catch(() => {})
  }
}

/** The SHA-256 of a file, in lower-case hex. */
export async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 256 * 1024 })) hash.update(chunk as Uint8Array)
  return hash.digest('hex')
}

async function isMade(folder: string): Promise<boolean> {
  try {
    await mkdir(folder)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

function unlessMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error
}

const isMissing = (error: unknown) =>
  ['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes((error as NodeJS.ErrnoException).code ?? '')
