/** Starting other programs in tests, so that none of them outlives the test that started it. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'

export interface ProgramOptions {
  /** The program and its arguments. */
  readonly command: readonly string[]
  /** The whole environment of the program; without it, ours. */
  readonly environment?: NodeJS.ProcessEnv
  readonly folder?: string
  /** Run as this user; only root can ask for it. */
  readonly user?: { readonly uid: number; readonly gid: number }
  /** The signal with which the program ends soonest and takes its own children along. */
  readonly endSignal?: NodeJS.Signals
  /** 'lines' (default) collects what it prints, 'inherit' shows it. */
  readonly output?: 'lines' | 'inherit'
}

export interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

const KEPT_LINES = 20_000

/** A running program. Use it with `await using`: leaving the block ends it. */
export class Program implements AsyncDisposable {
  readonly pid: number
  /** What it printed, standard output and standard error line by line, the latest 20,000. */
  readonly lines: string[] = []
  readonly ended: Promise<Ending>
  readonly #child: ChildProcess
  readonly #options: ProgramOptions

  constructor(child: ChildProcess, pid: number, options: ProgramOptions) {
    this.#child = child
    this.#options = options
    this.pid = pid
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) createInterface({ input: stream }).on('line', (line) => this.#keep(line))
    }
    // Where no parent-death signal exists, an orderly exit of the test process still ends it.
    const killWithUs = () => child.kill('SIGKILL')
    process.once('exit', killWithUs)
    this.ended = this.#untilEnd().finally(() => process.off('exit', killWithUs))
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  signal(name: NodeJS.Signals): void {
    if (this.running) process.kill(this.pid, name)
  }

  /** Sends the signal and waits; after `patienceMs` (default 10 s) it is killed. */
  async stop(signal: NodeJS.Signals = this.#options.endSignal ?? 'SIGTERM', patienceMs = 10_000): Promise<Ending> {
    this.signal(signal)
    const timer = setTimeout(() => this.signal('SIGKILL'), patienceMs)
    try {
      return await this.ended
    } finally {
      clearTimeout(timer)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #untilEnd(): Promise<Ending> {
    const drained = once(this.#child, 'close')
    const [code, signal] = await once(this.#child, 'exit')
    // Its last lines; but a child that it left behind may hold the pipes open for ever.
    await Promise.race([drained, pause(500, undefined, { ref: false })])
    this.#child.stdout?.destroy()
    this.#child.stderr?.destroy()
    return { code, signal }
  }

  #keep(line: string): void {
    this.lines.push(line)
    if (this.lines.length > KEPT_LINES) this.lines.shift()
  }
}

/** Starts a program; rejects when it cannot be started at all. On Linux the kernel ends it when this process dies. */
export async function startProgram(options: ProgramOptions): Promise<Program> {
  const [program, ...args] = [...tiedToUs(options), ...options.command]
  if (!program) throw new Error('no program given')
  const inherit = options.output === 'inherit'
  const child = spawn(program, args, {
    cwd: options.folder,
    env: options.environment ?? process.env,
    stdio: inherit ? 'inherit' : ['ignore', 'pipe', 'pipe'],
    ...options.user,
  })
  await once(child, 'spawn')
  if (child.pid === undefined) throw new Error(`${program} did not start`)
  return new Program(child, child.pid, options)
}

/** Runs a program to its end; rejects with all it printed when it fails. Gives what it printed. */
export async function runProgram(options: ProgramOptions): Promise<string> {
  const program = await startProgram(options)
  const { code, signal } = await program.ended
  const printed = program.lines.join('\n')
  if (code !== 0) throw new Error(`${options.command.join(' ')} ended with ${code ?? signal}:\n${printed}`)
  return printed
}

/**
 * Waits until `ready` gives true (asked every 50 ms; a throw counts as false). Rejects with what the program printed when
 * it ends first or `timeoutMs` pass.
 */
export async function untilReady(program: Program, ready: () => Promise<boolean>, timeoutMs = 60_000): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (program.running && Date.now() < deadline) {
    if (await ready().catch(() => false)) return
    await pause(50)
  }
  const why = program.running ? `was not ready after ${timeoutMs} ms` : 'ended before it was ready'
  await program.stop('SIGKILL')
  throw new Error(`the program with pid ${program.pid} ${why}; it printed:\n${program.lines.join('\n')}`)
}

/** The full path of a program in PATH (or in the folders given), if it is there and may be run. */
export function findProgram(name: string, folders = process.env['PATH']?.split(delimiter) ?? []): string | undefined {
  return folders.map((folder) => join(folder, name)).find(isExecutable)
}

export function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** The process id stays the program's own: setpriv asks the kernel for the signal and then becomes the program. */
function tiedToUs(options: ProgramOptions): string[] {
  const setpriv = process.platform === 'linux' ? findProgram('setpriv') : undefined
  return setpriv ? [setpriv, '--pdeathsig', (options.endSignal ?? 'SIGTERM').slice(3), '--'] : []
}
