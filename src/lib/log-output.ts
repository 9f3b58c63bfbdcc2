/** Writing to a descriptor without waiting for it: lines are gathered and written in batches, beside the event loop. */

import { write, writeSync } from 'node:fs'

/** Where finished lines go. */
export interface Output {
  /** Takes a line (with its newline); never blocks, never throws. */
  write(line: string): void
  /** Writes what is waiting, now; for the end of the process. */
  flushSync(): void
  /** Writes what is waiting and ends when it is with the system. */
  close(): Promise<void>
}

export interface OutputOptions {
  /** How long a line may wait for company, in ms. */
  readonly gatherMs?: number
  /** So much text is written without waiting further, in characters. */
  readonly batchLength?: number
  /** What may wait for a slow reader, in characters; lines beyond it are dropped and counted. */
  readonly maxLength?: number
  /** Called once when writing begins to fail. */
  readonly onError?: (error: Error) => void
  /** Called when writing works again after lines had to be dropped. */
  readonly onDropped?: (lines: number) => void
}

const RETRY_MS = 10
const GIVE_UP_MS = 1_000

/** An output on the file descriptor `descriptor`, which stays the caller's to close. */
export function openOutput(descriptor: number, options: OutputOptions = {}): Output {
  return new DescriptorOutput(descriptor, options)
}

class DescriptorOutput implements Output {
  readonly #descriptor: number
  readonly #options: OutputOptions
  readonly #gatherMs: number
  readonly #batchLength: number
  readonly #maxLength: number
  #waiting = ''
  #beingWritten: Buffer | undefined
  #timer: NodeJS.Timeout | undefined
  #dropped = 0
  #failing = false
  #idle: (() => void) | undefined
  readonly #atExit = (): void => this.flushSync()

  constructor(descriptor: number, options: OutputOptions) {
    this.#descriptor = descriptor
    this.#options = options
    this.#gatherMs = options.gatherMs ?? 100
    this.#batchLength = options.batchLength ?? 131_072
    this.#maxLength = options.maxLength ?? 4 * 1024 * 1024
    process.on('exit', this.#atExit)
  }

  write(line: string): void {
    if (this.#waiting.length + line.length > this.#maxLength) {
      this.#dropped += 1
      return
    }
    this.#waiting += line
    if (!this.#beingWritten) this.#startWhenWorthIt()
  }

  /** Each write is a trip to another thread and back, so few lines wait for more. */
  #startWhenWorthIt(): void {
    if (this.#waiting.length >= this.#batchLength || this.#idle) this.#start()
    else if (this.#waiting !== '') this.#timer ??= setTimeout(() => this.#start(), this.#gatherMs).unref()
  }

  #start(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#beingWritten) return
    if (this.#waiting === '') {
      this.#idle?.()
      return
    }
    this.#beingWritten = Buffer.from(this.#waiting)
    this.#waiting = ''
    this.#writeOn(this.#beingWritten)
  }

  #writeOn(bytes: Buffer): void {
    this.#beingWritten = bytes
    write(this.#descriptor, bytes, 0, bytes.length, null, (error, written) => {
      if (error?.code === 'EAGAIN') setTimeout(() => this.#writeOn(bytes), RETRY_MS)
      else if (error) this.#failed(error, bytes)
      else if (written < bytes.length) this.#writeOn(bytes.subarray(written))
      else this.#succeeded()
    })
  }

  #succeeded(): void {
    this.#beingWritten = undefined
    this.#failing = false
    const dropped = this.#dropped
    this.#dropped = 0
    this.#startWhenWorthIt()
    if (dropped > 0) this.#options.onDropped?.(dropped)
  }

  /** The batch is given up: keeping it would let one full disk fill the memory as well. */
  #failed(error: Error, bytes: Buffer): void {
    this.#beingWritten = undefined
    this.#dropped += linesIn(bytes)
    const first = !this.#failing
    this.#failing = true
    if (first) this.#options.onError?.(error)
    if (this.#idle) this.#start()
    else if (this.#waiting !== '') this.#timer ??= setTimeout(() => this.#start(), GIVE_UP_MS).unref()
  }

  flushSync(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    // A write under way is in the thread pool's hands and cannot be asked about: give it the time to get through.
    if (this.#beingWritten) sleepSync(RETRY_MS)
    const bytes = Buffer.from(this.#waiting)
    this.#waiting = ''
    writeAllSync(this.#descriptor, bytes)
  }

  async close(): Promise<void> {
    const idle = Promise.withResolvers<void>()
    this.#idle = idle.resolve
    this.#start()
    await idle.promise
    process.off('exit', this.#atExit)
  }
}

/** Writes synchronously; a reader that does not read for a second, or an error, ends the attempt: nobody is left to tell. */
function writeAllSync(descriptor: number, bytes: Buffer): void {
  let rest = bytes
  let waitedMs = 0
  while (rest.length > 0 && waitedMs < GIVE_UP_MS) {
    try {
      rest = rest.subarray(writeSync(descriptor, rest))
    } catch (error) {
      if (!isBusy(error)) return
      sleepSync(RETRY_MS)
      waitedMs += RETRY_MS
    }
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EAGAIN'
}

function sleepSync(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

function linesIn(bytes: Buffer): number {
  let lines = 0
  for (let at = bytes.indexOf(10); at !== -1; at = bytes.indexOf(10, at + 1)) lines += 1
  return lines
}
