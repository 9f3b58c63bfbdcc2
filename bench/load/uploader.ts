/**
 * Uploads large bodies, each different from all before in its first bytes, several at a time, and prints the figures as JSON.
 * A program of its own for the load generator's core. Argument: an `UploadJob` as JSON.
 */
import { Agent, request } from 'node:http'

export interface UploadJob {
  readonly port: number
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly bytes: number
  readonly connections: number
  /** Until when to begin further uploads: after so many seconds, or so many uploads. */
  readonly until: { readonly seconds: number } | { readonly uploads: number }
  /** Makes this run's bodies different from other runs'. */
  readonly seed: string
  /** All bodies of the run are the same. */
  readonly same?: boolean | undefined
}

export interface UploadFigures {
  readonly uploads: number
  /** From the first byte to the last answer. */
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
}

const job: UploadJob = JSON.parse(process.argv[2] ?? '')
const agent = new Agent({ keepAlive: true, maxSockets: job.connections })
const rest = Buffer.alloc(job.bytes, '.')
const began = performance.now()
const durations: number[] = []
let begun = 0

await Promise.all(Array.from({ length: job.connections }, uploadOneByOne))

const sorted = durations.toSorted((a, b) => a - b)
const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
const figures: UploadFigures = {
  uploads: durations.length,
  seconds: (performance.now() - began) / 1000,
  p50Ms: at(0.5),
  p99Ms: at(0.99),
}
console.log(JSON.stringify(figures))
agent.destroy()

async function uploadOneByOne(): Promise<void> {
  while (goesOn()) {
    const number = begun++
    const first = Buffer.from(`${job.seed} ${job.same ? 'same' : number}\n`)
    const from = performance.now()
    await upload(first)
    durations.push(performance.now() - from)
  }
}

function goesOn(): boolean {
  if ('uploads' in job.until) return begun < job.until.uploads
  return performance.now() - began < job.until.seconds * 1000
}

/** The rest is the same memory for all: the generator only has the kernel copy it. */
function upload(first: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { ...job.headers, 'Content-Length': job.bytes }
    const sending = request({ port: job.port, host: '127.0.0.1', path: job.path, method: 'POST', headers, agent })
    sending.on('error', reject)
    sending.on('response', (response) => {
      response.resume()
      if (response.statusCode !== 200) reject(new Error(`an upload was answered ${response.statusCode}`))
      else response.on('end', resolve).on('error', reject)
    })
    sending.write(first)
    sending.end(rest.subarray(first.length))
  })
}
