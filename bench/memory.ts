/** Resident memory of a process, from /proc. */
import { readFile, writeFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { childrenOf } from './cores.ts'

const MIB = 1024 * 1024
const SAMPLE_EVERY_MS = 50

/** MiB that are resident now. */
export const residentMib = (pid: number): Promise<number> => statusField(pid, 'VmRSS')

export interface Peak {
  /** MiB before the work, and at most during it; of the process alone. */
  readonly before: number
  readonly most: number
  /** MiB at most during the work, of the process and what it started, each counted in full (sampled every 50 ms). */
  readonly mostWithChildren: number
}

/** Follows a process's memory while `work` runs. The kernel keeps the peak of the process itself, so that none is missed. */
export async function peakDuring(pid: number, work: () => Promise<unknown>): Promise<Peak> {
  const before = await residentMib(pid)
  // 5 resets the peak. Source: proc(5), clear_refs.
  await writeFile(`/proc/${pid}/clear_refs`, '5')
  const working = new AbortController()
  const sampling = sample(() => residentWithChildren(pid), working.signal)
  try {
    await work()
  } finally {
    working.abort()
  }
  const mostWithChildren = await sampling
  const most = await statusField(pid, 'VmHWM')
  return { before, most, mostWithChildren: Math.max(most, mostWithChildren) }
}

async function sample(measure: () => Promise<number>, working: AbortSignal): Promise<number> {
  let most = 0
  while (!working.aborted) {
    most = Math.max(most, await measure())
    await pause(SAMPLE_EVERY_MS)
  }
  return most
}

/**
 * MiB that a process and all it started hold together at most while `work` runs: pages that several of them share count once
 * (PSS, proc(5) smaps_rollup; sampled every 50 ms). Memory of the page cache that none of them maps does not count.
 */
export async function sharedPeakDuring(pid: number, work: () => Promise<unknown>): Promise<number> {
  const working = new AbortController()
  const sampling = sample(() => proportionalWithChildren(pid), working.signal)
  try {
    await work()
  } finally {
    working.abort()
  }
  return await sampling
}

async function proportionalWithChildren(pid: number): Promise<number> {
  const children = await Promise.all((await childrenOf(pid)).map(proportionalWithChildren))
  const own = await field(`/proc/${pid}/smaps_rollup`, 'Pss').catch(() => 0)
  return children.reduce((sum, child) => sum + child, own)
}

async function residentWithChildren(pid: number): Promise<number> {
  const children = await Promise.all((await childrenOf(pid)).map(residentWithChildren))
  return children.reduce((sum, child) => sum + child, await residentMib(pid).catch(() => 0))
}

function statusField(pid: number, name: string): Promise<number> {
  return field(`/proc/${pid}/status`, name)
}

/** In MiB. */
async function field(path: string, name: string): Promise<number> {
  const text = await readFile(path, 'utf8')
  const kilobytes = new RegExp(`^${name}:\\s*(\\d+) kB$`, 'm').exec(text)?.[1]
  if (kilobytes === undefined) throw new Error(`${path} has no ${name}`)
  return (Number(kilobytes) * 1024) / MIB
}
