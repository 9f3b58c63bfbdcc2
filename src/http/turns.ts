import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** A request's turn on its connection. */
interface Turn {
  readonly response: ServerResponse
  /** Its work is done, or never began because the connection had ended. */
  worked: boolean
  /** Resolves when `worked` is true. */
  work: Promise<void>
}

/**
 * Takes the requests that come on one connection before its earlier ones are answered (pipelining) one after the other. Node
 * would begin them all at once: a single packet of short requests would take hundreds of buffers and files.
 */
export class Turns {
  readonly #last = new WeakMap<Socket, Turn>()
  readonly #current = new WeakMap<Socket, ServerResponse>()

  /** Does the work for a request when its turn has come; never, if the connection has ended by then. */
  take(request: IncomingMessage, response: ServerResponse, work: () => Promise<void>): Promise<void> {
    const { socket } = request
    const before = this.#last.get(socket)
    const turn: Turn = { response, worked: false, work: Promise.resolve() }
    this.#last.set(socket, turn)
    const mayBegin = before === undefined || (before.worked && before.response.closed)
    turn.work = mayBegin ? this.#begin(socket, turn, work) : this.#wait(socket, before, turn, work)
    return turn.work
  }

  /** Whether the connection is in the middle of an answer, where nothing else may be written. */
  isAnswering(socket: Socket): boolean {
    const response = this.#current.get(socket)
    return response !== undefined && response.headersSent && !response.writableFinished
  }

  async #wait(socket: Socket, before: Turn, turn: Turn, work: () => Promise<void>): Promise<void> {
    await before.work
    // Of a connection that has ended, nobody tells the answers that still wait.
    if (!before.response.closed && !socket.destroyed) await either(before.response, socket)
    await this.#begin(socket, turn, work)
  }

  async #begin(socket: Socket, turn: Turn, work: () => Promise<void>): Promise<void> {
    this.#current.set(socket, turn.response)
    try {
      // The answer before may have been the connection's last.
      if (!socket.destroyed && !socket.writableEnded) await work()
    } finally {
      turn.worked = true
    }
  }
}

/** Resolves when one of both has closed, or has failed and will. */
async function either(response: ServerResponse, socket: Socket): Promise<void> {
  const stop = new AbortController()
  const { signal } = stop
  await Promise.race([once(response, 'close', { signal }), once(socket, 'close', { signal })]).catch(() => {})
  stop.abort()
}
