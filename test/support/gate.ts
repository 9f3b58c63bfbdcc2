/** Stands between a program and a server on 127.0.0.1, so that a test can take that server away and give it back. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

export interface Gate extends AsyncDisposable {
  readonly port: number
  /** Breaks every connection and refuses new ones, as a server that died. */
  readonly close: () => Promise<void>
  /** Lets connections through again, on the same port. */
  readonly open: () => Promise<void>
  /** New connections lead to another port from now on. */
  readonly lead: (port: number) => void
}

/** Passes connections on to `port`. */
export async function startGate(port: number): Promise<Gate> {
  let target = port
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect({ port: target, host: '127.0.0.1' })
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one)
      one.on('error', () => {})
      one.on('close', () => {
        sockets.delete(one)
        other.destroy()
      })
      one.pipe(other)
    }
  })
  const listen = (at: number) => new Promise<void>((resolve) => server.listen(at, '127.0.0.1', resolve))
  await listen(0)
  const address = server.address() as AddressInfo
  const close = async () => {
    const closed = new Promise<unknown>((resolve) => server.close(resolve))
    for (const socket of sockets) socket.resetAndDestroy()
    await closed
  }
  return {
    port: address.port,
    close,
    open: () => listen(address.port),
    lead: (to) => void (target = to),
    [Symbol.asyncDispose]: async () => {
      if (server.listening) await close()
    },
  }
}
