/**
 * A way to every instance of this repository. Texts arrive in the order in which they were accepted, at whoever listens at
 * that moment, the sender included; nothing is kept for later.
 *
 * - `start` resolves when the first connection stands or has failed; a lost one is opened again in the background. The
 *   transport itself warns in the log when it is lost.
 * - `send` resolves once the text is accepted, and rejects, within seconds, when it was not or may not have been.
 * - `onLost` comes before any text of a next connection.
 */
export interface Transport extends AsyncDisposable {
  /** For administrators: `PostgreSQL`, `Redis server1`. */
  readonly name: string
  start(events: TransportEvents): Promise<void>
  send(text: string): Promise<void>
}

export interface TransportEvents {
  readonly onText: (text: string) => void
  readonly onConnected: () => void
  readonly onLost: () => void
}
