/** A Node that is too old starts the one that came with the dependencies. An old one is not at hand: this one says it is old. */
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'
import { expect, test } from 'vitest'
import { eventually } from '../support/app.ts'
import { temporaryFolder } from '../support/folder.ts'
import { type Program, runProgram, startProgram, untilReady } from '../support/processes.ts'
import { freePort } from '../support/services.ts'

const SLOW = 60_000
const SECRET = 'shared-secret'
const PRETENDS = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.0' } })`
const OLD_NODE = [process.execPath, '--import', `data:text/javascript,${encodeURIComponent(PRETENDS)}`]

const binary = (name: string) => fileURLToPath(new URL(`../../bin/${name}.js`, import.meta.url))

/** A server below a launcher of an old Node. Whatever becomes of the launcher, leaving the block ends the server. */
async function startBelowLauncher(folder: string) {
  await using cleanup = new AsyncDisposableStack()
  const port = await freePort()
  const file = join(folder, 'cellarium.yaml')
  const config = {
    repo: { bindAddress: '127.0.0.1', port, dataPath: join(folder, 'data'), logDirectory: '-' },
    homeservers: [{ name: 'example.org', csApi: 'http://127.0.0.1:9' }],
    sharedSecretAuth: { enabled: true, token: SECRET },
    uploads: { minBytes: 0 },
  }
  await writeFile(file, stringify(config))
  const command = [...OLD_NODE, binary('cellarium'), 'serve', '-c', file]
  const launcher = cleanup.use(await startProgram({ command, folder }))
  await untilReady(launcher, async () => (await fetch(`http://127.0.0.1:${port}/healthz`)).ok)
  const server = await childOf(launcher)
  cleanup.defer(() => void (isRunning(server) && process.kill(server, 'SIGKILL')))
  const owned = cleanup.move()
  return { launcher, server, port, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

async function childOf({ pid }: Program): Promise<number> {
  const all = await runProgram({ command: ['ps', '-A', '-o', 'pid=,ppid='] })
  const pairs = all.split('\n').map((line) => line.trim().split(/ +/).map(Number))
  const children = pairs.filter(([, parent]) => parent === pid).map(([child]) => child)
  expect(children, 'the launcher has started one process').toHaveLength(1)
  return children[0] ?? 0
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

test(
  'A server whose launcher is killed answers what is under way, ends, and frees its port',
  { timeout: SLOW },
  async () => {
    await using folder = await temporaryFolder()
    await using running = await startBelowLauncher(folder.path)
    const upload = connect({ port: running.port, host: '127.0.0.1' })
    let answer = ''
    upload.on('data', (chunk: Buffer) => void (answer += chunk.toString()))
    await once(upload, 'connect')
    const head = `Host: example.org\r\nAuthorization: Bearer ${SECRET}\r\nContent-Length: 10\r\nExpect: 100-continue`
    upload.write(`POST /_matrix/media/v3/upload HTTP/1.1\r\n${head}\r\n\r\n`)
    await eventually(() => answer.includes('100 Continue'))

    running.launcher.signal('SIGKILL')
    await eventually(async () => !(await fetch(`http://127.0.0.1:${running.port}`).catch(() => undefined)))
    upload.write('0123456789')
    await eventually(() => answer.includes('content_uri'))
    await eventually(() => !isRunning(running.server))
    // Nobody else has the port, nor the lock of the database.
    await using again = await startBelowLauncher(folder.path)
    again.launcher.signal('SIGTERM')
    expect(await again.launcher.ended).toEqual({ code: 0, signal: null })
    expect(isRunning(again.server)).toBe(false)
  },
)

test(
  'A command below a launcher reads its standard input and ends with its own status',
  { timeout: SLOW },
  async () => {
    await using folder = await temporaryFolder()
    const cellarium = [...OLD_NODE, binary('cellarium')].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ')
    const shell = (line: string) => startProgram({ command: ['bash', '-c', line], folder: folder.path })
    await runProgram({ command: [...OLD_NODE, binary('generate_signing_key'), '-output', 'key'], folder: folder.path })
    const piped = `cat key | ${cellarium} keys generate --input /dev/stdin --format synapse --output again`
    const program = await shell(piped)
    expect(await program.ended, program.lines.join('\n')).toEqual({ code: 0, signal: null })
    const refused = await shell(`${cellarium} datastores list`)
    expect((await refused.ended).code).toBe(2)
  },
)
