import type { Log } from '../lib/log.ts'

/** What instances tell each other. Messages are small texts without secrets. */
export interface Topics {
  /** The content of `mxc://…` is here now. */
  readonly uploaded: string
  /** What a logout made worthless, as JSON (`Forgotten` of `matrix/homeserver.ts`). */
  readonly forgotten: string
  /** What is kept of some media may be wrong now, as JSON (`Changed` of `media/records.ts`). */
  readonly changed: string
  /** A preview was made, or could not be; the message is the lease's name under which that was done. */
  readonly previewed: string
  /** Previews were removed: whatever is kept of them may be wrong now. The message is empty. */
  readonly purged: string
  /** A task was written down, or somebody cancelled one; the message is its number. */
  readonly tasks: string
  /** Times of last access that are noted and not written down yet are to be written down now. The message is empty. */
  readonly reads: string
  /** What came of a thumbnail that others may wait for, as JSON (`Outcome` of `thumbnails/once.ts`). */
  readonly thumbnails: string
  /** Messages of any topic may have got lost: whoever keeps something because it heard nothing must not any more. */
  readonly missed: string
}

export type Topic = keyof Topics

const TOPICS: Readonly<Record<Topic, true>> = {
  uploaded: true,
  forgotten: true,
  changed: true,
  previewed: true,
  purged: true,
  tasks: true,
  reads: true,
  thumbnails: true,
  missed: true,
}

export function isTopic(text: unknown): text is Topic {
  return typeof text === 'string' && Object.hasOwn(TOPICS, text)
}

/**
 * Tells every instance, this one included, that something happened. Only hints: one that is lost costs whoever waits for it a
 * few seconds, never a wrong answer, so waiters also look for themselves now and then, and what was kept goes on `missed`.
 */
export interface Notifier extends AsyncDisposable {
  /** Tells every instance. A message of more than a few kilobytes reaches the others as `missed`. */
  notify(topic: Topic, message: string): void
  /**
   * Tells every instance, and resolves once each has handled the message or keeps nothing any more that it could concern:
   * after milliseconds as a rule, after some three seconds where an instance does not answer.
   *
   * What was read before a message came and arrives after it may be old all the same: whoever keeps things looks whether a
   * message came in between.
   *
   * @throws when nobody could be told for ten seconds
   */
  announce(topic: Topic, message: string): Promise<void>
  /**
   * Whether messages reach this instance now. While they may not, nothing may be used that a message could make wrong. To be
   * asked at each use: a process that was paused learns so from the answer. `missed` comes before it turns true again.
   */
  isAttentive(): boolean
  /**
   * Calls `listener` for each message until the returned function is called. Where it gives a promise, the message is handled
   * once that is kept.
   */
  on(topic: Topic, listener: Listener): () => void
}

export type Listener = (message: string) => unknown

/** For one instance alone: listeners of this process. */
export class LocalNotifier implements Notifier {
  readonly #listeners = new Map<Topic, Set<Listener>>()
  readonly #log: Log
  readonly #onFailure: () => void

  /** One listener that throws does not keep a message from the others; `onFailure` is told that it was not handled. */
  constructor({ log, onFailure = () => {} }: { readonly log: Log; readonly onFailure?: () => void }) {
    this.#log = log
    this.#onFailure = onFailure
  }

  notify(topic: Topic, message: string): void {
    void this.announce(topic, message)
  }

  /** Resolves once every listener is done with it, whether it could handle it or not. */
  async announce(topic: Topic, message: string): Promise<void> {
    const listeners = [...(this.#listeners.get(topic) ?? [])]
    await Promise.all(listeners.map((listener) => this.#tell(listener, topic, message)))
  }

  async #tell(listener: Listener, topic: Topic, message: string): Promise<void> {
    try {
      await listener(message)
    } catch (error) {
      this.#log.error({ err: error, topic }, 'a message between instances could not be handled')
      this.#onFailure()
    }
  }

  isAttentive(): boolean {
    return true
  }

  on(topic: Topic, listener: Listener): () => void {
    const own: Listener = (message) => listener(message)
    const listeners = this.#listeners.get(topic) ?? new Set()
    this.#listeners.set(topic, listeners.add(own))
    return () => listeners.delete(own)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listeners.clear()
  }
}
