import type { PostgresPool, PostgresPoolClient, PostgresQueryResult } from '#kysely'
import type pg from 'pg'
import type { Availability } from '../lib/availability.ts'
import { isLostConnection, noteFailure } from './unavailable.ts'

/** How long PostgreSQL may take, in ms. A server that accepts and never answers must not keep callers for ever. */
export const WAITS = {
  /** For a connection: a new one, or a free one of the pool. */
  connectMs: 10_000,
  /** Counted here, for one statement. Then its connection is given up. */
  answerMs: 20_000,
  /** Counted by the server, for one statement of a write unit: less than `answerMs`, so that it ends in good order. */
  statementMs: 15_000,
  /** Counted by the server, for a row that another transaction holds. */
  lockMs: 10_000,
  /** Counted by the server, between two statements: what this process has locked is free again if it does not go on. */
  idleMs: 30_000,
}

export type PostgresWaits = typeof WAITS

/** What is done on the connections: single statements that change nothing, or transactions. */
export type PoolUse = 'reads' | 'units'

interface Parts {
  readonly pool: pg.Pool
  readonly availability: Availability
  readonly waits: PostgresWaits
}

/** The pool for one use: bounded in time, with outages noted and thrown as `DatabaseUnavailable`. Ending is the pool's own. */
export function watchedPool(use: PoolUse, parts: Parts): PostgresPool {
  return {
    options: parts.pool.options,
    connect: async () => new Connection(use, parts, await connect(parts)),
    end: async () => {},
  }
}

async function connect({ pool, availability }: Parts): Promise<pg.PoolClient> {
  try {
    return await pool.connect()
  } catch (error) {
    throw noteFailure(availability, error)
  }
}

class Connection implements PostgresPoolClient {
  readonly #use: PoolUse
  readonly #parts: Parts
  #client: pg.PoolClient
  #lost: { readonly error: unknown } | undefined

  constructor(use: PoolUse, parts: Parts, client: pg.PoolClient) {
    this.#use = use
    this.#parts = parts
    this.#client = client
  }

  get processID(): number | undefined {
    return (this.#client as { processID?: number }).processID
  }

  query: PostgresPoolClient['query'] = (async (text: string, parameters: readonly unknown[]) => {
    if (this.#lost) throw this.#lost.error
    try {
      return await this.#askAgainIfLost(text, parameters)
    } catch (cause) {
      const error = noteFailure(this.#parts.availability, cause, { isCommit: text === 'commit' })
      if (isLostConnection(cause)) this.#lost = { error }
      throw error
    }
  }) as PostgresPoolClient['query']

  release(destroy = false): void {
    this.#client.release(destroy || this.#lost !== undefined)
  }

  /**
   * After a restart of PostgreSQL each connection of the pool is dead. Reads are asked once more, on another one, and nobody
   * has to know. Not after a wait: the caller has waited long enough.
   */
  async #askAgainIfLost(text: string, parameters: readonly unknown[]) {
    try {
      return await this.#ask(text, parameters)
    } catch (error) {
      if (this.#use !== 'reads' || !isLostConnection(error) || isTimeout(error)) throw error
      const next = await connect(this.#parts)
      this.#client.release(true)
      this.#client = next
      return await this.#ask(text, parameters)
    }
  }

  async #ask(text: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<unknown>> {
    const { waits } = this.#parts
    const isBegin = text === 'begin'
    const query = { text: isBegin ? begin(waits) : text, values: [...parameters], query_timeout: waits.answerMs }
    const result = await this.#client.query(query)
    // Several statements give several results.
    return (Array.isArray(result) ? result[0] : result) as PostgresQueryResult<unknown>
  }
}

/**
 * What is answered as stored must survive a crash: where an administrator has switched waiting for the disk off, transactions
 * of ours wait for it all the same. Other settings of `synchronous_commit` do, and stay.
 */
const LASTING = `select set_config('synchronous_commit', 'local', true) where current_setting('synchronous_commit') = 'off'`

/** In one trip. `SET LOCAL` and not the connection's own settings: poolers refuse what they do not know at the start. */
function begin({ statementMs, lockMs, idleMs }: PostgresWaits): string {
  return (
    `begin; set local statement_timeout = ${statementMs}; set local lock_timeout = ${lockMs}; ` +
    `set local idle_in_transaction_session_timeout = ${idleMs}; ${LASTING}`
  )
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === 'Query read timeout'
}
