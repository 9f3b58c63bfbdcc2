import { isDeepStrictEqual } from 'node:util'
import { ConfigError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { changesBetween } from './changes.ts'
import type { ConfigSource } from './load.ts'
import { loadConfig } from './load.ts'
import type { Snapshot } from './snapshot.ts'
import { watchConfig } from './watch.ts'

export interface ConfigStoreOptions {
  readonly log: Log
  /** How often to look for changes that were not announced, in ms (5000). */
  readonly pollMs?: number
  /** How long files must be left alone before a change counts, in ms (500). */
  readonly debounceMs?: number
}

export type { Snapshot } from './snapshot.ts'

export type ChangeListener = (next: Snapshot, previous: Snapshot) => void

/** The configuration as it is now. Requests take `current()` once and keep it. */
export interface ConfigStore extends AsyncDisposable {
  current(): Snapshot
  /** Reads the files again (SIGHUP). What cannot be used is logged, and the old configuration stays; never rejects. */
  reload(): Promise<void>
  /** Calls the listener after each change; gives the function that ends this. */
  onChange(listener: ChangeListener): () => void
}

/**
 * Loads the configuration and follows its files: when they change, a new snapshot takes the place of the old one. A broken
 * file keeps the old one and is logged once. Throws ConfigError when the first load fails.
 */
export async function openConfigStore(source: ConfigSource, options: ConfigStoreOptions): Promise<ConfigStore> {
  const { log, pollMs = 5000, debounceMs = 500 } = options
  // Watched before it is read: a change in between is then noticed, at the worst by one reload too many.
  const following = new FollowedConfig(source, log)
  const watching =
    source.path === undefined || source.path === ''
      ? undefined
      : await watchConfig(source.path, { log, pollMs, debounceMs }, () => following.filesChanged())
  try {
    await following.open()
  } catch (error) {
    await watching?.[Symbol.asyncDispose]()
    throw error
  }
  return {
    current: () => following.current(),
    reload: () => following.reload(),
    onChange: (listener) => following.onChange(listener),
    [Symbol.asyncDispose]: async () => watching?.[Symbol.asyncDispose](),
  }
}

class FollowedConfig {
  readonly #source: ConfigSource
  readonly #log: Log
  readonly #listeners = new Set<ChangeListener>()
  #snapshot: Snapshot | undefined
  #lastFailure = ''
  /** Reloads happen one after the other, so that an older reading never replaces a newer one. */
  #turn: Promise<void> = Promise.resolve()

  constructor(source: ConfigSource, log: Log) {
    this.#source = source
    this.#log = log
  }

  async open(): Promise<void> {
    this.#snapshot = await loadConfig(this.#source)
  }

  current(): Snapshot {
    if (this.#snapshot === undefined) throw new Error('the configuration is not loaded yet')
    return this.#snapshot
  }

  onChange(listener: ChangeListener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** An administrator who asks gets an answer, even if it is the same as before. */
  reload(): Promise<void> {
    this.#lastFailure = ''
    return this.filesChanged()
  }

  filesChanged(): Promise<void> {
    this.#turn = this.#turn.then(() => this.#load())
    return this.#turn
  }

  async #load(): Promise<void> {
    try {
      const next = await loadConfig(this.#source)
      this.#lastFailure = ''
      if (this.#snapshot !== undefined) this.#swap(next, this.#snapshot)
    } catch (error) {
      this.#report(error)
    }
  }

  #swap(next: Snapshot, previous: Snapshot): void {
    for (const warning of next.warnings) if (!previous.warnings.includes(warning)) this.#log.warn(warning)
    this.#snapshot = next
    const { live, restart } = changesBetween(previous, next)
    if (live.length + restart.length === 0 && isDeepStrictEqual(next.datastores, previous.datastores)) {
      this.#log.info('configuration read again, nothing changed')
      return
    }
    this.#log.info({ live, restart }, reloadSentence(live, restart))
    for (const listener of this.#listeners) this.#tell(listener, next, previous)
  }

  #tell(listener: ChangeListener, next: Snapshot, previous: Snapshot): void {
    try {
      listener(next, previous)
    } catch (error) {
      this.#log.error({ err: error }, 'a part of the server could not follow the new configuration')
    }
  }

  #report(error: unknown): void {
    const text = String(error)
    if (text === this.#lastFailure) return
    this.#lastFailure = text
    const why = error instanceof ConfigError ? { problems: error.problems } : { err: error }
    this.#log.error(why, 'the changed configuration cannot be used; the old one stays in force')
  }
}

function reloadSentence(live: readonly string[], restart: readonly string[]): string {
  const now = live.length === 0 ? '' : `; in force now: ${live.join(', ')}`
  const later = restart.length === 0 ? '' : `; needs a restart: ${restart.join(', ')}`
  return `configuration reloaded${now}${later}`
}
