/** Something that listens where a Redis server should, greets like one, and then answers as a test wants. */
import { type AddressInfo, createServer, type Socket } from 'node:net'

export interface LyingRedis extends AsyncDisposable {
  readonly addr: string
  /** What it sends, byte by byte, to each command of this name; nothing: it never answers. */
  readonly answer: (command: string, reply: string | Buffer) => void
}

const HELLO = '%1\r\n$5\r\nproto\r\n:3\r\n'

export async function startLyingRedis(): Promise<LyingRedis> {
  const answers = new Map<string, string | Buffer>([
    ['HELLO', HELLO],
    ['PING', '+PONG\r\n'],
  ])
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => {})
    socket.on('data', (data) => {
      // Commands come as `*2\r\n$3\r\nGET\r\n$5\r\n…`, several in one piece at the start.
      for (const [, name = ''] of data.toString('latin1').matchAll(/\*\d+\r\n\$\d+\r\n(\w+)\r\n/g)) {
        socket.write(answers.get(name.toUpperCase()) ?? '+OK\r\n')
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    addr: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    answer: (command, reply) => void answers.set(command, reply),
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
