/**
 * Downloads large files, several at a time, each under a new media ID or those it is given, and prints the figures as JSON. A
 * program of its own for the load generator's core. Argument: a `FetchJob` as JSON.
 */
import { readFileSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { Agent as TlsAgent, get as getOverTls } from 'node:https'
import { setTimeout as pause } from 'node:timers/promises'

/** A file that is there. */
export interface GivenFile {
  readonly mediaId: string
  readonly bytes: number
  /** Besides those of all. */
  readonly headers?: Readonly<Record<string, string>>
}

export interface FetchJob {
  readonly port: number
  /** The file of the certificate authority, to ask over TLS. */
  readonly authority?: string | undefined
  /** What comes before the media ID. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** Of each new file: what the media ID says. */
  readonly bytes: number
  readonly connections: number
  /** Until when to begin further downloads: after so many seconds, or so many downloads. */
  readonly until: { readonly seconds: number } | { readonly fetches: number }
  /** Makes this run's media IDs different from other runs'. */
  readonly seed: string
  /** All downloads of the run are of the same file. */
  readonly same?: boolean | undefined
  /** Before each download, in ms. */
  readonly pauseMs?: number | undefined
  /** The file with what to download instead of new media IDs, in this order: a list of `GivenFile` as JSON. */
  readonly list?: string | undefined
  /** So many downloads, the first, are not in the figures: this program is slow until it has run for a while. */
  readonly uncounted?: number | undefined
}

export interface FetchFigures {
  readonly fetches: number
  /** From the first request to the last byte. */
  readonly seconds: number
  /** Of whole downloads. */
  readonly p50Ms: number
  readonly p99Ms: number
  /** From the request to the first byte of the body. */
  readonly firstByteP50Ms: number
  readonly firstByteP99Ms: number
}

const job: FetchJob = JSON.parse(process.argv[2] ?? '')
const pool = { keepAlive: true, maxSockets: job.connections }
const [ask, agent] = job.authority
  ? [getOverTls, new TlsAgent({ ...pool, ca: readFileSync(job.authority) })]
  : [get, new Agent(pool)]
const began = performance.now()
const firstBytes: number[] = []
const durations: number[] = []
let begun = 0
const { uncounted = 0 } = job
const given: readonly GivenFile[] = job.list ? JSON.parse(readFileSync(job.list, 'utf8')) : []

await Promise.all(Array.from({ length: job.connections }, fetchOneByOne))

const figures: FetchFigures = {
  fetches: durations.length,
  seconds: (performance.now() - began) / 1000,
  p50Ms: share(durations.slice(uncounted), 0.5),
  p99Ms: share(durations.slice(uncounted), 0.99),
  firstByteP50Ms: share(firstBytes.slice(uncounted), 0.5),
  firstByteP99Ms: share(firstBytes.slice(uncounted), 0.99),
}
console.log(JSON.stringify(figures))
agent.destroy()

async function fetchOneByOne(): Promise<void> {
  while (goesOn()) {
    const number = begun++
    if (job.pauseMs) await pause(job.pauseMs)
    await fetchOne(given[number] ?? newFile(number))
  }
}

function goesOn(): boolean {
  if ('fetches' in job.until) return begun < job.until.fetches
  return performance.now() - began < job.until.seconds * 1000
}

function newFile(number: number): GivenFile {
  const { bytes, seed, same } = job
  return { mediaId: `${bytes}-${seed}-${same ? 'same' : number}`, bytes }
}

function fetchOne({ mediaId, bytes, headers: own }: GivenFile): Promise<void> {
  return new Promise((resolve, reject) => {
    const { port } = job
    const headers = { ...job.headers, ...own }
    const from = performance.now()
    let received = 0
    const asking = ask({ port, host: '127.0.0.1', path: job.path + mediaId, headers, agent }, (answer) => {
      if (answer.statusCode !== 200) return reject(new Error(`a download was answered ${answer.statusCode}`))
      answer.on('data', (chunk: Buffer) => {
        if (received === 0) firstBytes.push(performance.now() - from)
        received += chunk.length
      })
      answer.on('error', reject)
      answer.on('end', () => {
        if (received < bytes) return reject(new Error(`a download ended after ${received} bytes`))
        durations.push(performance.now() - from)
        resolve()
      })
    })
    asking.on('error', reject)
  })
}

function share(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0
}
