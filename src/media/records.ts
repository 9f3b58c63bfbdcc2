import { LRUCache } from 'lru-cache'
import type { Database } from '../db/connect.ts'
import { findMedia, type MediaRecord } from '../db/media.ts'

const KEPT_AT_MOST = 2000

/**
 * Finds media records, and keeps those that are asked for again and again. A kept one counts only while the database is
 * exactly as it was: whatever anybody commits, quarantine and deletion among it, empties the cache at the next look. Where
 * the database cannot tell that cheaply (PostgreSQL), each look is a query.
 */
export class Records {
  readonly #db: Pick<Database, 'read' | 'version'>
  readonly #kept = new LRUCache<string, MediaRecord>({ max: KEPT_AT_MOST })
  #version: number | undefined

  constructor(db: Pick<Database, 'read' | 'version'>) {
    this.#db = db
  }

  /** The record of `mxc://origin/mediaId` as it is now, if its content is here. */
  async find(origin: string, mediaId: string): Promise<MediaRecord | undefined> {
    const version = this.#db.version()
    if (version === undefined) return await findMedia(this.#db.read, origin, mediaId)
    if (version !== this.#version) this.#startAnew(version)
    const name = `${origin}/${mediaId}`
    const kept = this.#kept.get(name)
    if (kept) return kept
    const record = await findMedia(this.#db.read, origin, mediaId)
    // What was committed since the version was asked for is in the record, and shows in the next version.
    if (record && version === this.#version) this.#kept.set(name, record)
    return record
  }

  #startAnew(version: number): void {
    this.#kept.clear()
    this.#version = version
  }
}
