/** How old an echo may be, in ms, for its hearer to trust that it still hears. */
export const ECHO_MS = 2000
const KEPT_BEATS = 8

/**
 * Whether this instance hears what is sent: it does while a beat of its own that it sent within the last two seconds has come
 * back to it, and the first transport (the database's) took one as well, by which every other instance knows of it.
 *
 * Times are those of sending, so that a message that was accepted before the beat has been heard before the echo. They are
 * looked at when the question is asked: a process that was paused or cut off answers no without anybody telling it.
 */
export class Attention<Transport> {
  readonly #first: Transport
  readonly #sent = new Map<number, number>()
  readonly #echoes = new Map<Transport, number>()
  #accepted = -Infinity
  #count = 0

  constructor(first: Transport) {
    this.#first = first
  }

  /** Notes that a beat is being sent, and gives its number. */
  begin(now: number): number {
    const count = ++this.#count
    this.#sent.set(count, now)
    this.#sent.delete(count - KEPT_BEATS)
    return count
  }

  /** The first transport took the beat. */
  accepted(count: number): void {
    this.#accepted = Math.max(this.#accepted, this.#sent.get(count) ?? -Infinity)
  }

  /** The beat came back. A number that was never sent says nothing. */
  echoed(transport: Transport, count: number): void {
    const sentAt = this.#sent.get(count)
    if (sentAt !== undefined) this.#echoes.set(transport, Math.max(this.#echoes.get(transport) ?? -Infinity, sentAt))
  }

  /** Nothing is heard over this transport until a beat comes back. Without the first one, others do not know of us. */
  lost(transport: Transport): void {
    this.#echoes.delete(transport)
    if (transport === this.#first) this.#accepted = -Infinity
  }

  /** Nothing counts any more that was heard before. */
  startAnew(): void {
    this.#echoes.clear()
    this.#sent.clear()
  }

  isFresh(now: number): boolean {
    const latestEcho = Math.max(-Infinity, ...this.#echoes.values())
    return now - latestEcho < ECHO_MS && now - this.#accepted < ECHO_MS
  }
}
