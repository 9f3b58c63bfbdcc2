/** Load by wrk (Debian: wrk), one thread on the load generator's core. */
import { fileURLToPath } from 'node:url'
import { runProgram } from '../../test/support/processes.ts'
import { LOAD_CORE, pinned } from '../cores.ts'

export interface Load {
  /** How many answers came a second. */
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Received bytes for each answer, headers included. */
  readonly bytesEach: number
}

export interface WrkOptions {
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  readonly connections: number
  readonly seconds: number
  readonly script?: 'first' | 'paced' | 'random' | 'upload'
  /** What the script is told: environment variables. */
  readonly tell?: Readonly<Record<string, string>>
}

interface Report {
  readonly requests: number
  readonly seconds: number
  readonly bytes: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly errors: Readonly<Record<string, number>>
}

/** Runs wrk; rejects when anything but answers below 400 came. */
export async function wrk(options: WrkOptions): Promise<Load> {
  const { url, headers = {}, connections, seconds, script, tell } = options
  const printed = await runProgram({
    command: [
      ...pinned(LOAD_CORE),
      'wrk',
      '-t1',
      `-c${connections}`,
      `-d${seconds}s`,
      '--timeout=30s',
      `--script=${fileOf(script ?? 'report')}`,
      ...Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]),
      url,
    ],
    environment: { ...process.env, BENCH_REPORT: fileOf('report'), ...tell },
  })
  return readReport(printed)
}

/** Reads the line that `report.lua` makes wrk print. Rejects failed requests: a rate with errors in it means nothing. */
export function readReport(printed: string): Load {
  const line = /^bench (?<json>\{.*\})$/m.exec(printed)?.groups?.['json']
  if (line === undefined) throw new Error(`wrk gave no figures; it printed:\n${printed}`)
  const { requests, seconds, bytes, p50Ms, p99Ms, errors }: Report = JSON.parse(line)
  const failed = Object.entries(errors).filter(([, count]) => count > 0)
  if (failed.length > 0) {
    const kinds = failed.map(([kind, count]) => `${kind} ${count}`).join(', ')
    throw new Error(`of ${requests} requests some failed: ${kinds}`)
  }
  if (requests === 0) throw new Error('wrk got no answer at all')
  return { perSecond: requests / seconds, p50Ms, p99Ms, bytesEach: bytes / requests }
}

function fileOf(script: string): string {
  return fileURLToPath(new URL(`${script}.lua`, import.meta.url))
}
