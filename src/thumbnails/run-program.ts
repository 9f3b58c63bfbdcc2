import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { Refused } from '../lib/errors.ts'
import type { Program, ProgramName, Programs } from './programs.ts'

/** What a generator has besides the process that it works in. Plain data: it travels to the workers. */
export interface Outside {
  readonly programs: Programs
  /** Address space that a program may take, in bytes. */
  readonly memoryLimitBytes: number
}

export interface ProgramRun {
  readonly program: ProgramName
  readonly args: readonly string[]
  /** Where it works. Its files go there: the caller's to remove. */
  readonly folder: string
  /** The most that it may write, in bytes: to any one file, and to its standard output. */
  readonly maxOutputBytes: number
  /** Gets what it prints, piece by piece. */
  readonly onOutput?: (piece: Buffer) => void
  /** Ends it. */
  readonly signal: AbortSignal
}

const stderrKept = 2000

/**
 * Runs a program of the machine on a file from strangers: no shell, an empty environment, nothing to read on its standard
 * input, limits on memory, on what it writes and on time, which its children have too. It stays in the process group of the
 * worker, so that whoever ends the worker ends both.
 *
 * @throws Refused `not_thumbnailable` when it fails, is stopped by a limit, or when it or `prlimit` is not installed
 */
export async function runProgram(outside: Outside, run: ProgramRun): Promise<void> {
  const limiter = need(outside.programs, 'prlimit')
  const { path } = need(outside.programs, run.program)
  const limits = limitsOf(outside, run)
  const child = spawn(limiter.path, [...limits, '--', path, ...run.args], {
    cwd: run.folder,
    env: {},
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: run.signal,
    killSignal: 'SIGKILL',
  })
  const { how, stderr, tooMuch } = await watch(child, run)
  if (how === 'exit code 0' && !tooMuch) return
  const cause = new Error(`${run.program} ended: ${how} ${stderr}`.trim())
  if (run.signal.aborted)
    throw new Refused('not_thumbnailable', 'Cannot make a thumbnail: it takes too long', { cause })
  throw new Refused('not_thumbnailable', 'Cannot make a thumbnail: this file cannot be decoded; it may be damaged', {
    cause,
  })
}

/** Source: prlimit(1). No core files: they would be as large as the memory, and hold what strangers sent. */
function limitsOf({ memoryLimitBytes }: Outside, { maxOutputBytes }: ProgramRun): readonly string[] {
  return [`--as=${memoryLimitBytes}`, `--fsize=${maxOutputBytes}`, '--core=0', '--nofile=64']
}

function need(programs: Programs, name: ProgramName): Program {
  const program = programs[name]
  if (program) return program
  throw new Refused('not_thumbnailable', `Cannot make a thumbnail: the program ${name} is not installed on this server`)
}

interface Ending {
  /** `exit code 0`, the name of a signal, or why it could not be started. */
  readonly how: string
  readonly stderr: string
  readonly tooMuch: boolean
}

/** Fulfilled when the program has ended and everything that it printed has been read. */
function watch(child: ChildProcess, { maxOutputBytes, onOutput }: ProgramRun): Promise<Ending> {
  let stderr = ''
  let printed = 0
  let problem: string | undefined
  child.stderr?.on('data', (text: Buffer) => {
    stderr = (stderr + text.toString()).slice(-stderrKept)
  })
  child.stdout?.on('data', (piece: Buffer) => {
    printed += piece.length
    if (printed > maxOutputBytes) child.kill('SIGKILL')
    else onOutput?.(piece)
  })
  return new Promise((resolve) => {
    child.on('error', (error) => (problem = error.message))
    child.once('close', (code, signal) => {
      const how = problem ?? signal ?? `exit code ${code}`
      resolve({ how, stderr, tooMuch: printed > maxOutputBytes })
    })
  })
}
