/** Measuring two things in turn, so that whatever else the machine does meanwhile meets both. */
import { cpuSeconds, endedProgramsCpuSeconds } from './cores.ts'

export interface Measured {
  readonly value: number
  readonly p50Ms?: number
  readonly p99Ms?: number
}

/** The medians over all rounds; each ratio is of one round. */
export interface Comparison extends Measured {
  readonly reference?: number
  readonly ratio?: number
  readonly lowest: number
  readonly highest: number
  /** Shares of one core: of the server with its threads and children, and of the load generator. */
  readonly serverCpu?: number
  readonly loadCpu?: number
  /** What else is to be known of the value. */
  readonly note?: string
}

export interface Turns {
  readonly rounds: number
  readonly serverPid: number
  /** Programs of the load that go on from round to round. */
  readonly loadPids?: readonly number[]
  readonly own: () => Promise<Measured>
  readonly reference?: () => Promise<number>
}

/** Measures own, reference, own, reference, …. */
export async function inTurn({ rounds, serverPid, loadPids = [], own, reference }: Turns): Promise<Comparison> {
  const found: { own: Measured & Cpu; reference: number | undefined }[] = []
  for (let round = 0; round < rounds; round++) {
    found.push({ own: await withCpu(serverPid, loadPids, own), reference: await reference?.() })
  }
  const of = (pick: (round: (typeof found)[number]) => number | undefined) =>
    found.map(pick).filter((value) => value !== undefined)
  const values = of((round) => round.own.value)
  const references = of((round) => round.reference)
  const latencies = of((round) => round.own.p50Ms)
  return {
    value: median(values),
    lowest: Math.min(...values),
    highest: Math.max(...values),
    ...(latencies.length > 0 && { p50Ms: median(latencies), p99Ms: median(of((round) => round.own.p99Ms)) }),
    ...(references.length > 0 && {
      reference: median(references),
      ratio: median(of((round) => round.reference && round.own.value / round.reference)),
    }),
    serverCpu: median(of((round) => round.own.serverCpu)),
    loadCpu: median(of((round) => round.own.loadCpu)),
  }
}

interface Cpu {
  readonly serverCpu: number
  readonly loadCpu: number
}

async function withCpu(
  serverPid: number,
  loadPids: readonly number[],
  measure: () => Promise<Measured>,
): Promise<Measured & Cpu> {
  const [began, server, load] = [performance.now(), await cpuSeconds(serverPid), await loadSeconds(loadPids)]
  const measured = await measure()
  const seconds = (performance.now() - began) / 1000
  return {
    ...measured,
    serverCpu: ((await cpuSeconds(serverPid)) - server) / seconds,
    loadCpu: ((await loadSeconds(loadPids)) - load) / seconds,
  }
}

async function loadSeconds(pids: readonly number[]): Promise<number> {
  const running = await Promise.all(pids.map(cpuSeconds))
  return running.reduce((sum, seconds) => sum + seconds, await endedProgramsCpuSeconds())
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  const upper = sorted[Math.floor(middle)] ?? NaN
  return Number.isInteger(middle) ? (upper + (sorted[middle - 1] ?? NaN)) / 2 : upper
}
