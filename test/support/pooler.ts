/** Stands between a program and PostgreSQL as a pooler in transaction mode does for LISTEN: texts can be sent, none arrive. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

const NOTIFICATION = 'A'.charCodeAt(0)
const HEAD_BYTES = 5

export interface Pooler extends AsyncDisposable {
  readonly port: number
}

/** Passes connections on to `port`, without the notifications that come back. */
export async function startPooler(port: number): Promise<Pooler> {
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect({ port, host: '127.0.0.1' })
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
    }
    near.pipe(far)
    const pass = withoutNotifications((message) => near.write(message))
    far.on('data', pass)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Messages are a letter, their length without the letter in four bytes, and the rest. */
function withoutNotifications(pass: (message: Buffer) => void): (data: Buffer) => void {
  let rest = Buffer.alloc(0)
  return (data) => {
    rest = Buffer.concat([rest, data])
    while (rest.length >= HEAD_BYTES) {
      const length = 1 + rest.readInt32BE(1)
      if (rest.length < length) return
      if (rest[0] !== NOTIFICATION) pass(rest.subarray(0, length))
      rest = rest.subarray(length)
    }
  }
}
