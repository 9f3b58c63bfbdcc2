import { writeFile } from 'node:fs/promises'
import { Agent, get, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runProgram } from '../../test/support/processes.ts'
import { pinned, SERVER_CORE } from '../cores.ts'
import { inTurn, type Measured, median } from '../in-turn.ts'
import { wrk } from '../load/wrk.ts'
import { photo, type Picture } from '../pictures.ts'
import type { SharpJob } from '../references/sharp.ts'
import type { Row } from '../row.ts'
import { openStage, type Stage } from '../stage.ts'

export interface GeneratedRow extends Pick<Row, 'name' | 'aim'> {
  readonly picture: Picture
  readonly wanted: SharpJob['wanted']
  /** How many clients ask at the same time, each for one after the other. */
  readonly clients: number
  /** How many are made for each second that a measurement is to last. */
  readonly perSecond: number
}

const WARM_UP_SECONDS = 5
const agent = new Agent({ keepAlive: true })
/** A server that has just started makes its first thumbnails more slowly, until its code is compiled. */
const WARM_UP = 40
/** The same file each time would stay in the processor's caches. */
const COPIES_FOR_SHARP = 40

/** A thumbnail that has been made before, against a download of the same bytes from the same server. */
export function cachedThumbnail({ name, aim }: Pick<Row, 'name' | 'aim'>): Row {
  return {
    name,
    title: 'thumbnail 320x240 that is there already, 16 at a time',
    unit: 'requests/s',
    reference: 'as a download',
    aim,
    async measure(setting) {
      await using stage = await openStage(setting)
      const { type, make } = photo
      const source = await stage.upload({ bytes: await make(), type }, 'thumbnail')
      const thumbnail = source + query({ width: 320, height: 240, method: 'scale' })
      // The thumbnail's bytes, uploaded: the same file, by another name.
      const download = await stage.upload({ bytes: await fetchThumbnail(stage, thumbnail), type })
      const load = async (path: string, seconds: number) => {
        const { url } = stage.server
        const { perSecond, ...rest } = await wrk({ url: url + path, headers: stage.headers, connections: 16, seconds })
        return { value: perSecond, ...rest }
      }
      await load(thumbnail, WARM_UP_SECONDS)
      await load(download, WARM_UP_SECONDS)
      return await inTurn({
        rounds: setting.rounds,
        serverPid: stage.server.pid,
        own: () => load(thumbnail, setting.seconds),
        reference: async () => (await load(download, setting.seconds)).value,
      })
    },
  }
}

/** Thumbnails of pictures that nobody has asked for before, against sharp alone, which has as many different ones. */
export function generatedThumbnail({ name, aim, picture, wanted, clients, perSecond }: GeneratedRow): Row {
  const { width, height, method } = wanted
  const atATime = clients === 1 ? 'one at a time' : `${clients} at a time`
  return {
    name,
    title: `thumbnail ${width}x${height} (${method}) made from ${picture.title}, ${atATime}`,
    unit: 'thumbnails/s',
    reference: 'sharp alone',
    aim,
    async measure(setting) {
      await using stage = await openStage(setting)
      const bytes = await picture.make()
      const files = await writeCopies(stage, picture, bytes)
      const copies = (count: number) => uploadCopies(stage, picture, { bytes, count, query: query(wanted) })
      await generate(stage, await copies(WARM_UP), clients)
      const each = perSecond * setting.seconds
      const paths = await copies(each * setting.rounds)
      return await inTurn({
        rounds: setting.rounds,
        serverPid: stage.server.pid,
        own: async () => await generate(stage, paths.splice(0, each), clients),
        reference: () => sharpAlone({ files, type: picture.type, wanted, seconds: setting.seconds }),
      })
    },
  }
}

async function writeCopies({ folder }: Stage, { copy }: Picture, picture: Buffer): Promise<readonly string[]> {
  const files = Array.from({ length: COPIES_FOR_SHARP }, (_, number) => join(folder, `picture-${number}`))
  for (const file of files) await writeFile(file, await copy(picture))
  return files
}

export function query({ width, height, method }: SharpJob['wanted']): string {
  return `?width=${width}&height=${height}&method=${method}&animated=true`
}

/** As good as the same picture, `count` times; gives where their thumbnails are. */
export async function uploadCopies(
  stage: Stage,
  { type, copy }: Picture,
  { bytes, count, query: asked }: { readonly bytes: Buffer; readonly count: number; readonly query: string },
): Promise<string[]> {
  const paths: string[] = []
  for (let made = 0; made < count; made++) {
    paths.push((await stage.upload({ bytes: await copy(bytes), type }, 'thumbnail')) + asked)
  }
  return paths
}

/** Fetches all, so many at a time. */
export async function generate(stage: Stage, paths: readonly string[], clients: number): Promise<Measured> {
  const durations: number[] = []
  const left = paths.values()
  const began = performance.now()
  const client = async () => {
    for (const path of left) {
      const asked = performance.now()
      await fetchThumbnail(stage, path)
      durations.push(performance.now() - asked)
    }
  }
  await Promise.all(Array.from({ length: clients }, client))
  const seconds = (performance.now() - began) / 1000
  return { value: paths.length / seconds, p50Ms: median(durations), p99Ms: Math.max(...durations) }
}

/** Not `fetch`, which keeps the server waiting for a millisecond between two requests. */
async function fetchThumbnail({ server, headers }: Stage, path: string): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  get(server.url + path, { headers, agent }, resolve).on('error', reject)
  const answer = await promise
  const chunks: Buffer[] = []
  for await (const chunk of answer) chunks.push(chunk)
  const body = Buffer.concat(chunks)
  if (answer.statusCode === 200) return body
  throw new Error(`a thumbnail was answered ${answer.statusCode}: ${body.toString()}`)
}

async function sharpAlone(job: SharpJob): Promise<number> {
  const program = fileURLToPath(new URL('../references/sharp.ts', import.meta.url))
  return Number(await runProgram({ command: [...pinned(SERVER_CORE), process.execPath, program, JSON.stringify(job)] }))
}
