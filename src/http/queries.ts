import { lastUsed } from '../lib/last-used.ts'

/** A request's query. Many requests may share it: nobody changes it. */
export type Query = Omit<URLSearchParams, 'append' | 'delete' | 'set' | 'sort'>

const KEPT_AT_MOST = 100
const LONGEST_KEPT = 100

/**
 * Reads queries, those in the same words once: clients ask for all their thumbnails in the same few. Longer ones are mostly
 * different each time.
 */
export class Queries {
  readonly #read = lastUsed<Query>(KEPT_AT_MOST)

  read(text: string): Query {
    if (text.length > LONGEST_KEPT) return new URLSearchParams(text)
    const kept = this.#read.get(text)
    if (kept) return kept
    const query = new URLSearchParams(text)
    this.#read.set(text, query)
    return query
  }
}
