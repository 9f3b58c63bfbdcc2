import type { FSWatcher } from 'node:fs'
import { watch } from 'node:fs'
import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Log } from '../lib/log.ts'
import { configFiles } from './files.ts'

export interface WatchOptions {
  readonly log: Log
  /** How often to look for changes that the operating system did not announce (network file systems), in ms. */
  readonly pollMs: number
  /** How long files must be left alone before a change counts, in ms. */
  readonly debounceMs: number
  readonly changed: () => Promise<void>
}

/**
 * Calls `changed` when the files of a configuration are others than before: written, renamed over, added, removed, or reached
 * through another symbolic link. The operating system's notes only make it quick; what decides is a look at the files, so
 * that a lost watch (MMR loses it when a file is replaced) costs `pollMs` at most.
 *
 * `look` before the files are read, `start` after it: what changes in between is then noticed.
 */
export class ConfigWatch implements AsyncDisposable {
  readonly #path: string
  readonly #watchers = new Map<string, { readonly inode: bigint; readonly watcher: FSWatcher }>()
  #options: WatchOptions | undefined
  #seen = ''
  #poll: NodeJS.Timeout | undefined
  #soon: NodeJS.Timeout | undefined
  #looking: Promise<void> = Promise.resolve()

  constructor(path: string) {
    this.#path = path
  }

  /** Remembers the files as they are now. */
  async look(): Promise<void> {
    this.#seen = await fingerprint(this.#path)
  }

  /** Watches from now on, and looks at once. */
  async start(options: WatchOptions): Promise<void> {
    this.#options = options
    this.#poll = setInterval(() => this.#lookAgain(), options.pollMs).unref()
    await this.#rewatch()
    this.#lookAgain()
    await this.#looking
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#poll)
    await this.#looking
    for (const { watcher } of this.#watchers.values()) watcher.close()
    clearTimeout(this.#soon)
  }

  /** Several changes in a row (a folder being filled) are looked at once, when they are over; polling covers those that never end. */
  #lookSoon(): void {
    clearTimeout(this.#soon)
    this.#soon = setTimeout(() => this.#lookAgain(), this.#options?.debounceMs).unref()
  }

  #lookAgain(): void {
    this.#looking = this.#looking
      .then(() => this.#compare())
      .catch((error: unknown) =>
        this.#options?.log.error({ err: error }, 'could not look for changes of the configuration'),
      )
  }

  async #compare(): Promise<void> {
    const found = await fingerprint(this.#path)
    if (found === this.#seen) return
    this.#seen = found
    await this.#rewatch()
    await this.#options?.changed()
  }

  /** Watches the folder that holds the file, or the folder of files, anew when it was replaced by another. */
  async #rewatch(): Promise<void> {
    const entry = await stat(this.#path).catch(() => undefined)
    const folder = entry?.isDirectory() === true ? this.#path : dirname(this.#path)
    const inode = (await stat(folder, { bigint: true }).catch(() => undefined))?.ino
    const current = this.#watchers.get(folder)
    if (inode === undefined || current?.inode === inode) return
    current?.watcher.close()
    const watcher = this.#openWatcher(folder)
    if (watcher !== undefined) this.#watchers.set(folder, { inode, watcher })
  }

  /** Where watching fails (limits of the system, network file systems) looking every `pollMs` is enough. */
  #openWatcher(folder: string): FSWatcher | undefined {
    const giveUp = (error: unknown) =>
      this.#options?.log.debug({ err: error, folder }, 'cannot watch the folder, only looking')
    try {
      const watcher = watch(folder, { persistent: false }, () => this.#lookSoon())
      watcher.on('error', giveUp)
      return watcher
    } catch (error) {
      giveUp(error)
      return undefined
    }
  }
}

/** What tells one state of the files from another; symbolic links are followed, so that swapping one shows. */
async function fingerprint(path: string): Promise<string> {
  const files = await configFiles(path).catch((error: unknown) => [String(error)])
  const states = await Promise.all(
    files.map(async (file) => {
      const entry = await stat(file, { bigint: true }).catch(() => undefined)
      return entry === undefined
        ? file
        : `${file} ${entry.dev} ${entry.ino} ${entry.size} ${entry.mtimeNs} ${entry.ctimeNs}`
    }),
  )
  return states.join('\n')
}
