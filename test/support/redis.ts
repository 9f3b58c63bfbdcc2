/** Real Redis servers for tests, on 127.0.0.1, which can be killed, stopped and started again on the same port. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { type Program, startProgram, untilReady } from './processes.ts'
import { temporaryFolder } from './folder.ts'
import { freePort, requireService } from './services.ts'

export interface RedisServer extends AsyncDisposable {
  readonly port: number
  readonly addr: string
  /** Ends it at once, as a crash does. */
  readonly kill: () => Promise<void>
  /** Starts it again on the same port, empty. */
  readonly restart: () => Promise<void>
  /** Makes it stand still, and go on. */
  readonly signal: (name: 'SIGSTOP' | 'SIGCONT') => void
  /** Sends one command and gives the raw reply. */
  readonly ask: (...words: string[]) => Promise<string>
}

export interface RedisServerOptions {
  /** More of the command line: `--requirepass x`, `--tls-port …`. Given a TLS port, plain connections stay on `port`. */
  readonly options?: readonly string[]
  readonly password?: string
  /** A free one, if not given. */
  readonly port?: number
}

/** Starts a server that keeps nothing on disk. Needs `describeWith('redis', …)`. */
export async function startRedis(given: RedisServerOptions = {}): Promise<RedisServer> {
  const { options = [], password, port = await freePort() } = given
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  const settings = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder]
  const command = [requireService('redis-server'), ...settings, ...options]
  const login = password === undefined ? [] : [['AUTH', password]]
  const ask = (...words: string[]) => talk(port, [...login, words])
  const start = async (): Promise<Program> => {
    const program = await startProgram({ command, folder })
    await untilReady(program, async () => (await ask('PING')).includes('PONG'))
    return program
  }
  let running = await start()
  cleanup.defer(async () => {
    running.signal('SIGCONT')
    await running.stop('SIGKILL')
  })
  const owned = cleanup.move()
  return {
    port,
    addr: `127.0.0.1:${port}`,
    kill: async () => void (await running.stop('SIGKILL')),
    restart: async () => void (running = await start()),
    signal: (name) => running.signal(name),
    ask,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** Sends the commands and gives all that came back. */
async function talk(port: number, commands: readonly (readonly string[])[]): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1' })
  let reply = ''
  socket.setEncoding('utf8').on('data', (text: string) => (reply += text))
  socket.setTimeout(5000, () => socket.destroy(new Error('Redis does not answer')))
  socket.end([...commands, ['QUIT']].map(encode).join(''))
  await once(socket, 'close')
  return reply
}

function encode(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`
}
