import { isDeepStrictEqual } from 'node:util'
import { ConfigError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { type Loaded, loadApart } from './load-apart.ts'
import type { ConfigSource } from './load.ts'
import type { Snapshot } from './snapshot.ts'
import { ConfigWatch } from './watch.ts'

export interface ConfigStoreOptions {
  /** The log, or what opens it: where it goes is part of the configuration. */
  readonly log: Log | ((first: Snapshot) => Log)
  /** How often to look for changes that were not announced, in ms (5000). */
  readonly pollMs?: number
  /** How long files must be left alone before a change counts, in ms (500). */
  readonly debounceMs?: number
  /** For tests: reads and checks the files otherwise than in a process that is started for it (`loadApart`). */
  readonly load?: typeof loadApart
}

export type { Snapshot } from './snapshot.ts'

/**
 * Gets a part of the server ready for a configuration that is not in force yet. Throwing (ConfigError with what is wrong)
 * refuses the configuration: the old one stays.
 */
export type Preparation = (next: Snapshot, previous: Snapshot) => Promise<Prepared>

/** A part that is ready: one of the two is called. */
export interface Prepared {
  /** Puts the new configuration in force there. */
  readonly apply: () => void
  /** Closes what was opened for it: another part refused the configuration. */
  readonly discard: () => Promise<void>
}

export type ChangeListener = (next: Snapshot, previous: Snapshot) => void

/** The configuration as it is now. Requests take `current()` once and keep it. */
export interface ConfigStore extends AsyncDisposable {
  readonly log: Log
  current(): Snapshot
  /** Reads the files again (SIGHUP). What cannot be used is logged, and the old configuration stays; never rejects. */
  reload(): Promise<void>
  /** Calls the listener after each change; gives the function that ends this. */
  onChange(listener: ChangeListener): () => void
  /** Has each further configuration prepared, before it is in force and listeners hear of it; gives the function that ends this. */
  beforeChange(preparation: Preparation): () => void
}

/**
 * Loads the configuration and follows its files: when they change, a new snapshot takes the place of the old one. A broken
 * file keeps the old one and is logged once. Throws ConfigError when the first load fails.
 */
export async function openConfigStore(source: ConfigSource, options: ConfigStoreOptions): Promise<ConfigStore> {
  const { pollMs = 5000, debounceMs = 500, load = loadApart } = options
  const watch = source.path ? new ConfigWatch(source.path) : undefined
  await watch?.look()
  const { snapshot } = await load(source)
  const log = typeof options.log === 'function' ? options.log(snapshot) : options.log
  for (const warning of snapshot.warnings) log.warn(warning)
  const following = new FollowedConfig(source, { snapshot, load, log })
  await watch?.start({ log, pollMs, debounceMs, changed: () => following.filesChanged() })
  return {
    log,
    current: () => following.current(),
    reload: () => following.reload(),
    onChange: (listener) => following.onChange(listener),
    beforeChange: (preparation) => following.beforeChange(preparation),
    [Symbol.asyncDispose]: async () => watch?.[Symbol.asyncDispose](),
  }
}

class FollowedConfig {
  readonly #source: ConfigSource
  readonly #load: typeof loadApart
  readonly #log: Log
  readonly #listeners = new Set<ChangeListener>()
  readonly #preparations = new Set<Preparation>()
  #snapshot: Snapshot
  #lastFailure = ''
  /** Reloads happen one after the other, so that an older reading never replaces a newer one. */
  #turn: Promise<void> = Promise.resolve()

  constructor(source: ConfigSource, first: { snapshot: Snapshot; load: typeof loadApart; log: Log }) {
    this.#source = source
    this.#snapshot = first.snapshot
    this.#load = first.load
    this.#log = first.log
  }

  current(): Snapshot {
    return this.#snapshot
  }

  onChange(listener: ChangeListener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  beforeChange(preparation: Preparation): () => void {
    this.#preparations.add(preparation)
    return () => void this.#preparations.delete(preparation)
  }

  /** An administrator who asks gets an answer, even if it is the same as before. */
  reload(): Promise<void> {
    this.#lastFailure = ''
    return this.filesChanged()
  }

  filesChanged(): Promise<void> {
    this.#turn = this.#turn.then(() => this.#loadNext())
    return this.#turn
  }

  async #loadNext(): Promise<void> {
    try {
      const previous = this.#snapshot
      const loaded = await this.#load(this.#source, previous)
      const prepared = await this.#prepare(loaded.snapshot, previous)
      this.#lastFailure = ''
      for (const { apply } of prepared) apply()
      this.#swap(loaded, previous)
    } catch (error) {
      this.#report(error)
    }
  }

  /** All parts, or none. */
  async #prepare(next: Snapshot, previous: Snapshot): Promise<readonly Prepared[]> {
    const results = await Promise.allSettled([...this.#preparations].map((prepare) => prepare(next, previous)))
    const ready = results.filter((result) => result.status === 'fulfilled').map(({ value }) => value)
    const refusal = results.find((result) => result.status === 'rejected')
    if (!refusal) return ready
    await Promise.all(ready.map(({ discard }) => discard()))
    throw refusal.reason
  }

  #swap({ snapshot: next, changes }: Loaded, previous: Snapshot): void {
    for (const warning of next.warnings) if (!previous.warnings.includes(warning)) this.#log.warn(warning)
    this.#snapshot = next
    const { live, restart } = changes
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
