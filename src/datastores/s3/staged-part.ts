import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { Readable } from 'node:stream'

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

/** The part as the body of a request: a new one each time, because a stream can be sent once. `onProgress` hears of each chunk. */
export async function bodyOf(part: StagedPart, onProgress: () => void): Promise<Buffer | Readable> {
  const size = part.end - part.start
  if (size > SMALL) return streamOf(part, onProgress)
  const bytes = Buffer.allocUnsafe(size)
  for (let filled = 0; filled < size;) filled += await fill(part, bytes.subarray(filled), part.start + filled)
  return bytes
}

function streamOf(part: StagedPart, onProgress: () => void): Readable {
  let position = part.start
  const readNext = async (): Promise<Buffer> => {
    // Not from the pool: the socket may keep it for long.
    const chunk = Buffer.allocUnsafeSlow(Math.min(CHUNK, part.end - position))
    const bytes = await fill(part, chunk, position)
    position += bytes
    onProgress()
    return chunk.subarray(0, bytes)
  }
  return new Readable({
    highWaterMark: CHUNK,
    read() {
      if (position >= part.end) this.push(null)
      else
        readNext().then(
          (chunk) => this.push(chunk),
          (error: Error) => this.destroy(error),
        )
    },
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
