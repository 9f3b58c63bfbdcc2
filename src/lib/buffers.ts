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
 * A few buffers that begin at a page of memory, as direct input and output demand. They lie in a WebAssembly memory, which
 * V8 maps in whole pages; until they are used they cost no memory.
 */
export class AlignedBuffers {
  readonly #size: number
  readonly #most: number
  #free: Buffer[] | undefined

  /** `most` buffers of `size` bytes, a multiple of 64 KiB. */
  constructor(size: number, most: number) {
    this.#size = size
    this.#most = most
  }

  /** Undefined while all are in use, or where there is no such memory (a limit on address space). */
  take(): Buffer | undefined {
    this.#free ??= this.#make()
    return this.#free.pop()
  }

  giveBack(buffer: Buffer): void {
    this.#free?.push(buffer)
  }

  #make(): Buffer[] {
    try {
      const { buffer } = new WebAssembly.Memory({ initial: (this.#size * this.#most) / WASM_PAGE })
      return Array.from({ length: this.#most }, (_, index) => Buffer.from(buffer, index * this.#size, this.#size))
    } catch (error) {
      if (error instanceof RangeError) return []
      throw error
    }
  }
}

const WASM_PAGE = 64 * 1024

/** What Node's own types leave out. */
declare const WebAssembly: {
  readonly Memory: new (pages: { readonly initial: number }) => { readonly buffer: ArrayBuffer }
}

/**
 * Gives the memory of some bytes back at once, if nothing else lies in it: uploads make more garbage than the collector hurries
 * to take away, because it does not see how large it is. The bytes are gone afterwards, for everybody.
 */
export function free(bytes: Uint8Array): void {
  const { buffer, byteLength } = bytes
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength && !buffer.detached) buffer.transfer(0)
}
