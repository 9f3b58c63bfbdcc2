import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import sharp from 'sharp'
import { inTurn, type Measured } from '../in-turn.ts'
import { wrk } from '../load/wrk.ts'
import { KIB, type Row } from '../row.ts'
import { openStage, type Stage } from '../stage.ts'

const CONNECTIONS = 16
const WARM_UP_SECONDS = 5
const PHOTO = { width: 4000, height: 3000 }
/** Thumbnails that are asked for at the same time: the decoder always has a next one. */
const THUMBNAILS = 8
const SETTLE_MS = 1000
/** Many sizes that cost the same, so that one photo is enough. */
const SIZES = { thumbnails: { dynamicSizing: true, sizes: [{ width: 800, height: 600 }] } }

/** How long downloads take while thumbnails are made on the same core as fast as they can be, against the same in peace. */
export function busyDownload({ name, aim }: Pick<Row, 'name' | 'aim'>): Row {
  return {
    name,
    title: 'p99 of 100 KiB downloads while thumbnails take all of the core',
    unit: 'ms',
    reference: 'without thumbnails',
    aim,
    async measure(setting) {
      await using stage = await openStage({ ...setting, config: SIZES })
      const url = stage.server.url + (await stage.upload({ bytes: randomBytes(100 * KIB), type: 'image/png' }))
      const photo = await stage.upload({ bytes: await noisyPhoto(), type: 'image/jpeg' }, 'thumbnail')
      const load = async (seconds: number): Promise<Measured> => {
        const { p50Ms, p99Ms } = await wrk({
          url,
          headers: stage.headers,
          connections: CONNECTIONS,
          seconds,
          script: 'paced',
        })
        return { value: p99Ms, p50Ms, p99Ms }
      }
      const queries = sizes()
      await load(WARM_UP_SECONDS)
      await makeThumbnails(stage, photo, queries, () => load(1))
      let made = 0
      const measured = await inTurn({
        rounds: setting.rounds,
        serverPid: stage.server.pid,
        own: async () => {
          const { result, count } = await makeThumbnails(stage, photo, queries, () => load(setting.seconds))
          made += count
          return result
        },
        reference: async () => {
          await pause(SETTLE_MS)
          return (await load(setting.seconds)).value
        },
      })
      const perSecond = made / (setting.rounds * setting.seconds)
      return { ...measured, note: `${perSecond.toFixed(0)} thumbnails/s meanwhile` }
    },
  }
}

/** Has new thumbnails made all the time while something else is done. */
async function makeThumbnails<Result>(
  { server, headers: { Host = '', ...headers } }: Stage,
  path: string,
  queries: Iterator<string, undefined>,
  meanwhile: () => Promise<Result>,
): Promise<{ readonly result: Result; readonly count: number }> {
  const enough = new AbortController()
  let count = 0
  const client = async () => {
    while (!enough.signal.aborted) {
      const { value: query = '' } = queries.next()
      const answer = await fetch(server.url + path + query, { headers: { ...headers, 'X-Forwarded-Host': Host } })
      await answer.arrayBuffer()
      if (answer.status !== 200) throw new Error(`a thumbnail was answered ${answer.status}`)
      count++
    }
  }
  const clients = Promise.all(Array.from({ length: THUMBNAILS }, client))
  const [result] = await Promise.all([meanwhile().finally(() => enough.abort()), clients])
  return { result, count }
}

function* sizes(): Generator<string, undefined> {
  for (let width = 320; width > 100; width--) {
    for (let height = 240; height > 100; height--) yield `?width=${width}&height=${height}&method=scale`
  }
}

async function noisyPhoto(): Promise<Buffer> {
  const noise = { type: 'gaussian', mean: 128, sigma: 20 } as const
  return await sharp({ create: { ...PHOTO, channels: 3, background: 'grey', noise } })
    .jpeg({ quality: 85 })
    .toBuffer()
}
