import { EventEmitter } from 'node:events'

/** What instances tell each other. Messages are small texts without secrets. */
export interface Topics {
  /** The content of `mxc://…` is here now. */
  readonly uploaded: string
  /** What a logout made worthless, as JSON (`Forgotten` of `matrix/homeserver.ts`). */
  readonly forgotten: string
  /** What is kept of some media may be wrong now, as JSON (`Changed` of `media/records.ts`). */
  readonly changed: string
  /** A task was written down, or somebody cancelled one; the message is its number. */
  readonly tasks: string
  /** Messages of any topic may have got lost: whoever keeps something because it heard nothing must not any more. */
  readonly missed: string
}

export type Topic = keyof Topics

/**
 * Tells every instance, this one included, that something happened. Only hints: one that is lost costs whoever waits for it a
 * few seconds, never a wrong answer, so waiters also look for themselves now and then, and what was kept goes on `missed`.
 */
export interface Notifier extends AsyncDisposable {
  notify(topic: Topic, message: string): void
  /** Tells every instance, and resolves once each has handled the message or keeps nothing any more that it could concern. */
  announce(topic: Topic, message: string): Promise<void>
  /** Whether messages reach this instance now. While they may not, nothing is kept that a message could make wrong. */
  isAttentive(): boolean
  /** Calls `listener` for each message until the returned function is called. */
  on(topic: Topic, listener: (message: string) => void): () => void
}

/** For one instance alone: listeners of this process. */
export class LocalNotifier implements Notifier {
  readonly #events = new EventEmitter().setMaxListeners(0)

  notify(topic: Topic, message: string): void {
    this.#events.emit(topic, message)
  }

  async announce(topic: Topic, message: string): Promise<void> {
    this.notify(topic, message)
  }

  isAttentive(): boolean {
    return true
  }

  on(topic: Topic, listener: (message: string) => void): () => void {
    this.#events.on(topic, listener)
    return () => this.#events.off(topic, listener)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#events.removeAllListeners()
  }
}
