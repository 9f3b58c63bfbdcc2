import { lastUsed } from '../lib/last-used.ts'

/** A request's query. Many requests may share it: nobody changes it. */
export class Query implements Iterable<[string, string]> {
  readonly #all: URLSearchParams
  /** Each request asks for a dozen names that are not in it: a map tells that sooner than a list. */
  readonly #first: ReadonlyMap<string, string>

  constructor(text: string) {
    this.#all = new URLSearchParams(text)
    this.#first = new Map([...this.#all].toReversed())
  }

  /** The first value of this name, or null. */
  get(name: string): string | null {
    return this.#first.get(name) ?? null
  }

  getAll(name: string): string[] {
    return this.#all.getAll(name)
  }

  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.#all[Symbol.iterator]()
  }
}

const KEPT_AT_MOST = 100
const LONGEST_KEPT = 100

/**
 * Reads queries, those in the same words once: clients ask for all their thumbnails in the same few. Longer ones are mostly
 * different each time.
 */
export class Queries {
  readonly #read = lastUsed<Query>(KEPT_AT_MOST)

  read(text: string): Query {
    if (text.length > LONGEST_KEPT) return new Query(text)
    const kept = this.#read.get(text)
    if (kept) return kept
    const query = new Query(text)
    this.#read.set(text, query)
    return query
  }
}
