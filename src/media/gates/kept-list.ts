import type { EventParts } from '../../lib/events.ts'
import { listFailed, listRead } from '../../lib/gate-events.ts'
import { type BadLines, type ListLine, listLines } from './list-lines.ts'
import { type ListSource, type Mark, openList } from './list-source.ts'

export interface KeptListOptions<List> extends ListSource {
  readonly refreshSeconds: number
  /** Makes what is kept of a list's lines. */
  readonly read: (lines: AsyncIterable<readonly ListLine[]>) => Promise<List>
}

/** While a list has never been read, it is asked for again so often, in ms. */
const RETRY_MS = 5000

/**
 * A list that is read again when it changes. One that cannot be read, or has nothing in it that is a hash, leaves the last one in
 * force, and a line in the log. Dispose it when it is not wanted any more.
 */
export class KeptList<List extends { readonly size: number }> implements Disposable {
  readonly #options: KeptListOptions<List>
  readonly #events: Pick<EventParts, 'log' | 'metrics'>
  readonly #name: string
  readonly #closed = new AbortController()
  #current: List | undefined
  #mark: Mark = {}
  #timer: NodeJS.Timeout | undefined
  /** Resolves when it was tried for the first time. */
  readonly ready: Promise<void>

  constructor(events: Pick<EventParts, 'log' | 'metrics'>, options: KeptListOptions<List>) {
    this.#events = events
    this.#options = options
    this.#name = nameOf(options)
    this.ready = this.#refresh()
  }

  /** Undefined: it could not be read yet. */
  get current(): List | undefined {
    return this.#current
  }

  async #refresh(): Promise<void> {
    try {
      await this.#readIfChanged()
    } catch (error) {
      if (this.#closed.signal.aborted) return
      listFailed(this.#events, { list: this.#name, isKept: this.#current !== undefined }, error)
    }
    if (this.#closed.signal.aborted) return
    const usualMs = this.#options.refreshSeconds * 1000
    const ms = this.#current ? usualMs : Math.min(usualMs, RETRY_MS)
    this.#timer = setTimeout(() => void this.#refresh(), ms).unref()
  }

  async #readIfChanged(): Promise<void> {
    const { read } = this.#options
    const changed = await openList(this.#options, this.#mark, this.#closed.signal)
    if (!changed) return listRead(this.#events, { list: this.#name, hashes: this.#current?.size ?? 0, bad: undefined })
    const bad: BadLines = { count: 0, first: 0 }
    const list = await read(listLines(changed.pieces, bad))
    if (list.size === 0 && bad.count > 0) {
      throw new Error(`none of its ${bad.count} lines begins with a hash of 64 hexadecimal digits`)
    }
    this.#current = list
    this.#mark = changed.mark
    listRead(this.#events, { list: this.#name, hashes: list.size, bad })
  }

  [Symbol.dispose](): void {
    this.#closed.abort()
    clearTimeout(this.#timer)
  }
}

/** Without what may be secret in an address. */
function nameOf({ source }: ListSource): string {
  if (!URL.canParse(source)) return source
  const { origin, pathname } = new URL(source)
  return origin === 'null' ? source : origin + pathname
}
