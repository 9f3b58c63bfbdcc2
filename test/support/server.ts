/** A real Cellarium process for tests. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'
import { startProgram, untilReady, type Ending } from './processes.ts'
import { temporaryFolder } from './folder.ts'
import { NO_REQUEST_LIMITS } from './limits.ts'
import { freePort } from './services.ts'

export interface ServerOptions {
  /**
   * The configuration, as in the YAML file; address, port, data folder, and that requests have no limits are put in where it does not
   * name them.
   */
  readonly config?: Readonly<Record<string, unknown>>
  /** More environment variables. */
  readonly env?: Readonly<Record<string, string>>
  /** Where its configuration and data lie; given, it is kept, so that a second start finds what the first left. */
  readonly folder?: string
  /** A program that becomes the server, with its arguments: `strace -D …` keeps the process id the server's own. */
  readonly wrap?: readonly string[]
}

export interface Server extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly pid: number
  readonly folder: string
  readonly configFile: string
  /** What it printed, line by line. */
  readonly lines: readonly string[]
  /** Ends when the process has ended, for whatever reason. */
  readonly ended: Promise<Ending>
  /** Sends a signal without waiting, such as SIGHUP. */
  readonly signal: (name: NodeJS.Signals) => void
  /** Sends the signal (default SIGTERM) and waits for the end. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<Ending>
}

/** Starts `cellarium serve` and waits until `/healthz` answers 200; rejects with what it printed if that does not happen. */
export async function startServer(options: ServerOptions = {}): Promise<Server> {
  await using cleanup = new AsyncDisposableStack()
  const folder = options.folder ?? cleanup.use(await temporaryFolder()).path
  const { config, port } = await complete(options.config ?? {}, folder)
  const configFile = join(folder, 'cellarium.yaml')
  await mkdir(folder, { recursive: true })
  await writeFile(configFile, stringify(config))
  const program = cleanup.use(
    await startProgram({
      command: [...(options.wrap ?? []), process.execPath, CELLARIUM, 'serve', '--config', configFile],
      environment: { ...cleanEnvironment(), ...options.env },
      folder,
    }),
  )
  const url = `http://127.0.0.1:${port}`
  await untilReady(program, async () => (await fetch(`${url}/healthz`)).status === 200, 30_000)
  const owned = cleanup.move()
  return {
    url,
    port,
    pid: program.pid,
    folder,
    configFile,
    lines: program.lines,
    ended: program.ended,
    signal: (name) => program.signal(name),
    stop: (signal) => program.stop(signal),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const CELLARIUM = fileURLToPath(new URL('../../bin/cellarium.js', import.meta.url))

async function complete(
  config: Readonly<Record<string, unknown>>,
  folder: string,
): Promise<{ config: Record<string, unknown>; port: number }> {
  const given = typeof config['repo'] === 'object' ? { ...config['repo'] } : {}
  const repo: Record<string, unknown> = {
    bindAddress: '127.0.0.1',
    dataPath: join(folder, 'data'),
    logDirectory: '-',
    ...given,
  }
  repo['port'] ??= await freePort()
  const rateLimit = { ...NO_REQUEST_LIMITS, ...(typeof config['rateLimit'] === 'object' ? config['rateLimit'] : {}) }
  return { config: { ...config, repo, rateLimit }, port: Number(repo['port']) }
}

/** Our environment without what would change the server: the developer's own settings for it, and the runner's. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const unwanted = /^(CELLARIUM_|REPO_CONFIG$|VITEST|NODE_ENV$|NODE_OPTIONS$)/
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !unwanted.test(name)))
}
