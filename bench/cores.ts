/** Which core does what, and what it costs there. */
import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { promisify } from 'node:util'

/** The server with all it starts; in turn with it, what it is compared with. */
export const SERVER_CORE = 0
/** The load generator, the homeserver's double, and the bench itself. */
export const LOAD_CORE = 1

/** What a command begins with to run on this core alone. */
export const pinned = (core: number): readonly [string, ...string[]] => ['taskset', '-c', String(core)]

/** Keeps the bench itself, and what it starts without saying where, off the server's core. */
export async function stayOnLoadCore(): Promise<void> {
  if (availableParallelism() < 2) throw new Error('the bench needs two cores: one for the server, one for the load')
  await promisify(execFile)('taskset', ['-acp', String(LOAD_CORE), String(process.pid)])
}

const TICKS_PER_SECOND = 100

/** Seconds of CPU that a process and all it started have used so far, ended ones included. */
export async function cpuSeconds(pid: number): Promise<number> {
  const own = await statOf(pid)
  const children = await Promise.all((await childrenOf(pid)).map(cpuSeconds))
  return children.reduce((sum, child) => sum + child, (own.own + own.waitedFor) / TICKS_PER_SECOND)
}

/** Seconds of CPU used by programs that this process started and that have ended. */
export async function endedProgramsCpuSeconds(): Promise<number> {
  return (await statOf(process.pid)).waitedFor / TICKS_PER_SECOND
}

/** The processes that a process has started, not theirs. */
export async function childrenOf(pid: number): Promise<number[]> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => [])
  const lists = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '')),
  )
  return lists.flatMap((list) => list.trim().split(' ').filter(Boolean).map(Number))
}

/** In ticks; zeros for a process that has just ended. Source: proc(5), fields utime to cstime. */
async function statOf(pid: number): Promise<{ own: number; waitedFor: number }> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
  const [user = 0, system = 0, childUser = 0, childSystem = 0] = fields.slice(11, 15)
  return { own: user + system, waitedFor: childUser + childSystem }
}
