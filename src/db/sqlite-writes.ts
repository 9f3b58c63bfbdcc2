import { once } from 'node:events'
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Unit } from './query.ts'

export interface WriteRequest {
  readonly id: number
  readonly unit: string
  readonly args: unknown
}

export interface FailedWrite {
  readonly message: string
  readonly stack?: string | undefined
  /** SQLite's result code, such as 13 for a full disk. */
  readonly errcode?: number | undefined
}

export type WriteAnswer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly failed: FailedWrite }

interface Waiting {
  resolve(value: unknown): void
  reject(error: Error): void
}

/** Hands write units to the thread that writes to the SQLite file `path`, and their results back. */
export class SqliteWrites implements AsyncDisposable {
  readonly #worker: Worker
  readonly #waiting = new Map<number, Waiting>()
  #nextId = 0
  #ended: Error | undefined

  constructor(path: string) {
    this.#worker = new Worker(new URL(`./sqlite-writer${extname(import.meta.url)}`, import.meta.url), {
      workerData: { path },
      // What a commit makes is gone with it: little room makes little garbage, and saves the server 7 MiB.
      resourceLimits: { maxYoungGenerationSizeMb: 2 },
    })
    this.#worker.unref()
    this.#worker.on('message', (answers: readonly WriteAnswer[]) => answers.forEach((answer) => this.#settle(answer)))
    this.#worker.on('error', (cause) => this.#end(new Error('the thread that writes to SQLite failed', { cause })))
    this.#worker.on('exit', () => this.#end(new Error('the database is closed')))
  }

  /** Runs a unit; resolves once its commit is on disk. */
  write<Args, Result>(unit: Unit<Args, Result>, args: Args): Promise<Result> {
    if (this.#ended) return Promise.reject(this.#ended)
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const id = this.#nextId++
    this.#waiting.set(id, { resolve, reject })
    if (this.#waiting.size === 1) this.#worker.ref()
    this.#worker.postMessage({ id, unit: unit.unit, args } satisfies WriteRequest)
    return promise as Promise<Result>
  }

  #settle(answer: WriteAnswer): void {
    const waiting = this.#waiting.get(answer.id)
    this.#waiting.delete(answer.id)
    if (this.#waiting.size === 0) this.#worker.unref()
    if ('value' in answer) waiting?.resolve(answer.value)
    else waiting?.reject(Object.assign(new Error(answer.failed.message), answer.failed))
  }

  #end(error: Error): void {
    this.#ended ??= error
    for (const waiting of this.#waiting.values()) waiting.reject(this.#ended)
    this.#waiting.clear()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended) return
    const exit = once(this.#worker, 'exit')
    this.#worker.ref()
    this.#worker.postMessage('close')
    await exit
  }
}
