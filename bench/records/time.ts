/** How long a query takes. */
import { randomBytes } from 'node:crypto'
import { median } from '../in-turn.ts'
import type { Sized } from './databases.ts'
import type { Key, ReadQuery, WriteQuery } from './queries.ts'

const KEYS = 500
const MAX_SAMPLES = 20_000

/** Median in µs over `seconds`, one after the other, once everything asked for was read before. */
export async function timeQuery(query: ReadQuery | WriteQuery, sized: Sized, seconds: number): Promise<number> {
  const keys = keysOf(sized.media, query.keys)
  const ask = asking(query, sized)
  if ('run' in query) for (const key of keys) await ask(key)
  const samples: number[] = []
  const until = performance.now() + seconds * 1000
  while (samples.length < MAX_SAMPLES && performance.now() < until) {
    const key = keys[samples.length % keys.length]
    const began = performance.now()
    if (key) await ask(key)
    samples.push((performance.now() - began) * 1000)
  }
  return median(samples)
}

/** Spread evenly over all media. */
export function keysOf(media: number, count = KEYS): Key[] {
  return Array.from({ length: count }, (_, index) => ({ at: Math.floor((index * media) / count), media }))
}

function asking(query: ReadQuery | WriteQuery, { db }: Sized): (key: Key) => Promise<void> {
  const run = randomBytes(6).toString('hex')
  let number = 0
  return async (key) => {
    const found = 'run' in query ? await query.run(db.read, key) : await query.write(db, key, `${run}${number++}`)
    if (found === 0) throw new Error(`${query.name} found nothing for number ${key.at} of ${key.media}`)
  }
}
