import { close, open, read, fstat } from 'node:fs'
import { promisify } from 'node:util'

const openFile = promisify(open)
const closeFile = promisify(close)
const statFile = promisify(fstat)

const KEEP_MS = 2000
const KEPT_AT_MOST = 1000
/**
 * Files that were read, kept open for two seconds each: one that many want is not opened, looked at and closed for each of them,
 * which costs more than reading it. A file that somebody deletes behind our back may be served that much longer.
 */
export class OpenFiles implements AsyncDisposable {
  readonly #kept = new Map<string, SharedFile>()
  readonly #opening = new Map<string, Promise<SharedFile>>()

  /** The file, held until it is released. Fails as `open(2)` does. */
  async acquire(path: string): Promise<SharedFile> {
    const file = this.#kept.get(path) ?? (await (this.#opening.get(path) ?? this.#openNew(path)))
    // Forgotten and closed while we waited for our turn: its descriptor may be another file's by now.
    if (file.closed) return await this.acquire(path)
    file.users++
    return file
  }

  /** Forgets a file, so that who asks next opens what is at its path then. */
  forget(path: string): void {
    const file = this.#kept.get(path)
    if (!file) return
    this.#kept.delete(path)
    file.retire()
  }

  #openNew(path: string): Promise<SharedFile> {
    const opening = this.#keep(path).finally(() => this.#opening.delete(path))
    this.#opening.set(path, opening)
    return opening
  }

  async #keep(path: string): Promise<SharedFile> {
    const file = await openShared(path)
    file.forgetLater(() => this.forget(path))
    this.#kept.set(path, file)
    if (this.#kept.size > KEPT_AT_MOST) {
      const [oldest] = this.#kept.keys()
      if (oldest !== undefined) this.forget(oldest)
    }
    return file
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#opening.values())
    for (const path of this.#kept.keys()) this.forget(path)
  }
}

/** Opens a file to be shared by those who hold it. Fails as `open(2)` does. */
async function openShared(path: string): Promise<SharedFile> {
  const fd = await openFile(path, 'r')
  try {
    const { size } = await statFile(fd)
    return new SharedFile(fd, size)
  } catch (error) {
    await closeFile(fd).catch(() => {})
    throw error
  }
}

/** An open file with several readers. */
export class SharedFile {
  /** Bytes, when it was opened. */
  readonly size: number
  users = 0
  /** Nobody may read it any more. */
  closed = false
  readonly #fd: number
  readonly #close: () => void
  #timer: NodeJS.Timeout | undefined
  #retired = false

  /** `closeNow`, if given, closes the descriptor. */
  constructor(fd: number, size: number, closeNow = () => close(fd)) {
    this.#fd = fd
    this.#close = closeNow
    this.size = size
  }

  /** Fills `buffer` from its start with up to `length` bytes from `position`, and gives how many there were. */
  read(buffer: Buffer, length: number, position: number): Promise<number> {
    return readAt(this.#fd, buffer, length, position)
  }

  forgetLater(forget: () => void): void {
    this.#timer = setTimeout(forget, KEEP_MS).unref()
  }

  /** No more readers come; it is closed when the last one is done. */
  retire(): void {
    clearTimeout(this.#timer)
    this.#retired = true
    this.#closeIfUnused()
  }

  /** Ends one reader's use. */
  release(): void {
    this.users--
    this.#closeIfUnused()
  }

  #closeIfUnused(): void {
    if (!this.#retired || this.users > 0 || this.closed) return
    this.closed = true
    this.#close()
  }
}

function readAt(fd: number, buffer: Buffer, length: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, buffer, 0, length, position, (error, bytes) => (error ? reject(error) : resolve(bytes)))
  })
}
