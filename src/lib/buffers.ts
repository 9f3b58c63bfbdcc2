/** Buffers that are used again: allocating and collecting large ones for each chunk costs more than copying through them. */
export class BufferPool {
  readonly size: number
  readonly #most: number
  readonly #free: Buffer[] = []

  /** Buffers of `size` bytes, of which at most `most` are kept while nobody uses them. */
  constructor(size: number, most: number) {
    this.size = size
    this.#most = most
  }

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.size)
  }

  /** Gives a buffer back. Whoever does must be sure that nobody still reads or fills it. */
  giveBack(buffer: Buffer): void {
    if (this.#free.length < this.#most) this.#free.push(buffer)
  }
}

/**
 * Gives the memory of some bytes back at once, if nothing else lies in it: uploads make more garbage than the collector hurries
 * to take away, because it does not see how large it is. The bytes are gone afterwards, for everybody.
 */
export function free(bytes: Uint8Array): void {
  const { buffer, byteLength } = bytes
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength && !buffer.detached) buffer.transfer(0)
}
