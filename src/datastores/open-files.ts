import { close, fstat, open, read } from 'node:fs'
import { promisify } from 'node:util'

const openFile = promisify(open)
const closeFile = promisify(close)
const statFile = promisify(fstat)

const KEEP_MS = 2000
const KEPT_AT_MOST = 1000

/**
 * Files that are open for reading, each kept so for two seconds: a file that many want is not opened, looked at and closed for
 * each of them, which costs more than reading it. A file deleted by somebody else may be served that much longer.
 */
export class OpenFiles implements AsyncDisposable {
  readonly #open = new Map<string, SharedFile>()
  readonly #opening = new Map<string, Promise<SharedFile>>()

  /** The file, held open until it is released. Fails as `open(2)` does. */
  async acquire(path: string): Promise<SharedFile> {
    const file = this.#open.get(path) ?? (await (this.#opening.get(path) ?? this.#openNew(path)))
    // Forgotten and closed while we waited for our turn: its descriptor may be another file's by now.
    if (file.closed) return await this.acquire(path)
    file.users++
    return file
  }

  /** Forgets a file, so that who asks next opens what is at its path then. */
  forget(path: string): void {
    const file = this.#open.get(path)
    if (!file) return
    this.#open.delete(path)
    clearTimeout(file.timer)
    file.kept = false
    file.closeIfUnused()
  }

  #openNew(path: string): Promise<SharedFile> {
    const opening = this.#keep(path).finally(() => this.#opening.delete(path))
    this.#opening.set(path, opening)
    return opening
  }

  async #keep(path: string): Promise<SharedFile> {
    const fd = await openFile(path, 'r')
    let size: number
    try {
      size = (await statFile(fd)).size
    } catch (error) {
      await closeFile(fd)
      throw error
    }
    const timer = setTimeout(() => this.forget(path), KEEP_MS).unref()
    const file = new SharedFile(fd, size, timer)
    this.#open.set(path, file)
    if (this.#open.size > KEPT_AT_MOST) {
      const [oldest] = this.#open.keys()
      if (oldest !== undefined) this.forget(oldest)
    }
    return file
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#opening.values())
    for (const path of this.#open.keys()) this.forget(path)
  }
}

/** An open file with several readers. */
export class SharedFile {
  readonly size: number
  readonly timer: NodeJS.Timeout
  /** Whether more readers may come. */
  kept = true
  users = 0
  closed = false
  readonly #fd: number

  constructor(fd: number, size: number, timer: NodeJS.Timeout) {
    this.#fd = fd
    this.size = size
    this.timer = timer
  }

  /** Fills `buffer` from its start with up to `length` bytes from `position`, and gives how many there were. */
  read(buffer: Buffer, length: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      read(this.#fd, buffer, 0, length, position, (error, bytes) => (error ? reject(error) : resolve(bytes)))
    })
  }

  /** Ends one reader's use. */
  release(): void {
    this.users--
    this.closeIfUnused()
  }

  closeIfUnused(): void {
    if (this.kept || this.users > 0 || this.closed) return
    this.closed = true
    close(this.#fd)
  }
}
