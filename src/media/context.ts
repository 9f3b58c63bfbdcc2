import type { HomeserverConfig } from '../config/schema.ts'
import type { Log } from '../lib/log.ts'
import type { Caller } from '../matrix/caller.ts'

/** On whose behalf something is done: fixed when the request came, whatever is reloaded meanwhile. */
export interface Context {
  /** The homeserver addressed, with its configuration of that moment. */
  readonly homeserver: HomeserverConfig
  readonly caller: Caller
  /** The client's address, through trusted proxies. */
  readonly address: string
  readonly log: Log
  /** Aborts when the caller has gone. */
  readonly signal: AbortSignal
}
