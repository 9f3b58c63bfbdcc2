import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/**
 * Takes the requests that come on one connection before its earlier ones are answered (pipelining) one after the other. Node
 * would begin them all at once: a single packet of short requests would take hundreds of buffers and files.
 */
export class Turns {
  readonly #last = new WeakMap<Socket, Promise<void>>()
  readonly #current = new WeakMap<Socket, ServerResponse>()

  /** Does the work for a request when its turn has come; never, if the connection has ended by then. */
  async take(request: IncomingMessage, response: ServerResponse, work: () => Promise<void>): Promise<void> {
    const { socket } = request
    const { promise, resolve: over } = Promise.withResolvers<void>()
    const before = this.#last.get(socket)
    this.#last.set(socket, promise)
    if (before) await before
    // The answer before may have been the connection's last.
    if (socket.destroyed || socket.writableEnded) return over()
    this.#current.set(socket, response)
    try {
      await work()
    } finally {
      if (response.closed) over()
      else response.once('close', over)
    }
  }

  /** Whether the connection is in the middle of an answer, where nothing else may be written. */
  isAnswering(socket: Socket): boolean {
    const response = this.#current.get(socket)
    return response !== undefined && response.headersSent && !response.writableFinished
  }
}
