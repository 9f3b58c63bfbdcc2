/** Clients that read slowly, so that a server has to wait for them with whatever it keeps meanwhile. */
import { get, type IncomingMessage } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'

export interface SlowReading {
  /** One for each reader. */
  readonly urls: readonly string[]
  readonly headers: Readonly<Record<string, string>>
  /** Of each reader. */
  readonly bytesPerSecond: number
  readonly seconds: number
}

const STEP_MS = 100

/** Reads all at once, at that pace, and hangs up at the end; gives how many bytes came. */
export async function readSlowly(reading: SlowReading): Promise<number> {
  const answers = await Promise.all(reading.urls.map((url) => ask(url, reading.headers)))
  const until = performance.now() + reading.seconds * 1000
  try {
    const counts = await Promise.all(answers.map((answer) => read(answer, reading, until)))
    return counts.reduce((sum, count) => sum + count, 0)
  } finally {
    for (const answer of answers) answer.destroy()
  }
}

function ask(url: string, headers: SlowReading['headers']): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get(url, { headers, agent: false }, (answer) => {
      if (answer.statusCode === 200) resolve(answer.pause())
      else reject(new Error(`a download was answered ${answer.statusCode}`))
    }).on('error', reject)
  })
}

async function read(answer: IncomingMessage, { bytesPerSecond }: SlowReading, until: number): Promise<number> {
  const began = performance.now()
  let count = 0
  answer.on('data', (chunk: Buffer) => {
    count += chunk.length
    if (count > ((performance.now() - began) / 1000) * bytesPerSecond) answer.pause()
  })
  while (performance.now() < until) {
    answer.resume()
    await pause(STEP_MS)
    if (answer.errored) throw answer.errored
  }
  return count
}
