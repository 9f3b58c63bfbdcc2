import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { BufferPool } from '../../lib/buffers.ts'

/** Bytes `start` to `end`, the latter not included, of a staged file. */
export interface StagedPart {
  readonly file: FileHandle
  readonly start: number
  readonly end: number
}

/** Large enough that reading costs little, small enough for hundreds of them. */
const CHUNK = 256 * 1024

/** Up to this size, in bytes, content is sent from memory: a stream costs more than it. */
const SMALL = CHUNK

/** The part as the body of a request: a new one each time, because it can be sent once. `onProgress` hears of each chunk. */
export async function bodyOf(part: StagedPart, onProgress: () => void): Promise<Buffer | Readable> {
  const size = part.end - part.start
  if (size > SMALL) return new StagedBody(part, onProgress)
  const bytes = Buffer.allocUnsafe(size)
  for (let filled = 0; filled < size;) filled += await fill(part, bytes.subarray(filled), part.start + filled)
  return bytes
}

/**
 * A stream that can only be piped, which is what the SDK does with it. Its own way of piping knows when the socket has taken a
 * chunk, so that two buffers serve for a whole file: a stream's usual one makes garbage of each chunk, faster than it is collected.
 */
class StagedBody extends Readable {
  readonly #part: StagedPart
  readonly #onProgress: () => void

  constructor(part: StagedPart, onProgress: () => void) {
    super()
    this.#part = part
    this.#onProgress = onProgress
  }

  override pipe<To extends NodeJS.WritableStream>(destination: To): To {
    this.#send(destination).catch((error: Error) => this.destroy(error))
    return destination
  }

  async #send(destination: NodeJS.WritableStream): Promise<void> {
    let [buffer, other] = [buffers.take(), buffers.take()]
    let writing: Promise<unknown> = Promise.resolve()
    for (let position = this.#part.start; position < this.#part.end;) {
      const bytes = await fill(this.#part, buffer, position)
      position += bytes
      await writing
      if (this.destroyed) return
      this.#onProgress()
      writing = written(destination, buffer.subarray(0, bytes))
      ;[buffer, other] = [other, buffer]
    }
    await writing
    buffers.giveBack(buffer)
    buffers.giveBack(other)
    this.#onProgress()
    destination.end()
  }

  override _read(): void {
    this.destroy(new TypeError('the body of a request can only be piped'))
  }
}

/** Enough for a few dozen uploads at once. What a connection that broke may still hold is never given back. */
const buffers = new BufferPool(CHUNK, 64)

/** Resolves when the destination needs the chunk no more. A destination that breaks tells its own listeners why. */
function written(destination: NodeJS.WritableStream, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    destination.write(chunk, () => resolve())
  })
}

/** Lower-case hex SHA-256. */
export async function sha256Of(part: StagedPart): Promise<string> {
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafeSlow(Math.min(CHUNK, part.end - part.start))
  for (let position = part.start; position < part.end;) {
    const bytes = await fill(part, buffer.subarray(0, part.end - position), position)
    hash.update(buffer.subarray(0, bytes))
    position += bytes
  }
  return hash.digest('hex')
}

/** Gives how many bytes were read, which are some. */
async function fill({ file, end }: StagedPart, buffer: Buffer, position: number): Promise<number> {
  const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, end - position), position)
  if (bytesRead > 0) return bytesRead
  const error = new Error(`the staged file ended at byte ${position}; ${end} were received`)
  throw Object.assign(error, { code: 'StagedFileChanged' })
}
