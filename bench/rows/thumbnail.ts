import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import type { Sharp } from 'sharp'
import { runProgram } from '../../test/support/processes.ts'
import { pinned, SERVER_CORE } from '../cores.ts'
import { inTurn, type Measured, median } from '../in-turn.ts'
import { wrk } from '../load/wrk.ts'
import type { Row } from '../row.ts'
import { startNginx } from '../references/nginx.ts'
import { openStage, type Stage } from '../stage.ts'

const WARM_UP_SECONDS = 5
/** How many are made for each second that a measurement is to last. */
const PER_SECOND = 15
const ANIMATED_PER_SECOND = 2
const PHOTO = { width: 4000, height: 3000 }
const WANTED = '?width=320&height=240&method=scale'

/** A thumbnail that has been made before, against nginx that serves the same bytes. */
export function cachedThumbnail({ name }: { readonly name: string }): Row {
  return {
    name,
    title: 'thumbnail 320x240 that is there already, 16 at a time',
    unit: 'requests/s',
    reference: 'nginx',
    async measure(setting) {
      await using stage = await openStage(setting)
      await using nginx = await startNginx(stage.folder)
      const path = (await stage.upload({ bytes: await photo(), type: 'image/jpeg' }, 'thumbnail')) + WANTED
      await writeFile(join(nginx.root, 'thumbnail'), await fetchThumbnail(stage, path))
      const load = async (url: string, seconds: number) => {
        const { perSecond, ...rest } = await wrk({ url, headers: stage.headers, connections: 16, seconds })
        return { value: perSecond, ...rest }
      }
      await load(stage.server.url + path, WARM_UP_SECONDS)
      return await inTurn({
        rounds: setting.rounds,
        serverPid: stage.server.pid,
        own: () => load(stage.server.url + path, setting.seconds),
        reference: async () => (await load(`${nginx.url}/thumbnail`, setting.seconds)).value,
      })
    },
  }
}

/** Thumbnails of photos that nobody has asked for before, one after the other, against sharp alone on the same photo. */
export function generatedThumbnail({ name }: { readonly name: string }): Row {
  return generated({
    name,
    title: 'thumbnail 320x240 made from a 12-megapixel JPEG, one at a time',
    perSecond: PER_SECOND,
    source: { type: 'image/jpeg', query: WANTED, make: photo, copy: withComment },
  })
}

/** The same of an animation, that stays one. */
export function animatedThumbnail({ name, aim }: Pick<Row, 'name' | 'aim'>): Row {
  return generated({
    name,
    title: 'animated thumbnail 320x240 made from a GIF of 60 frames, one at a time',
    perSecond: ANIMATED_PER_SECOND,
    source: { type: 'image/gif', query: `${WANTED}&animated=true`, make: animation, copy: withTail },
    aim,
  })
}

interface Source {
  readonly type: string
  readonly query: string
  readonly make: () => Promise<Buffer>
  /** The same picture in other bytes. */
  readonly copy: (picture: Buffer) => Buffer
}

interface Generated extends Pick<Row, 'name' | 'title' | 'aim'> {
  readonly source: Source
  /** How many are made for each second that a measurement is to last. */
  readonly perSecond: number
}

function generated({ source, perSecond, ...row }: Generated): Row {
  return {
    ...row,
    unit: 'thumbnails/s',
    reference: 'sharp alone',
    async measure(setting) {
      await using stage = await openStage(setting)
      const picture = await source.make()
      const file = join(stage.folder, 'picture')
      await writeFile(file, picture)
      await generate(stage, await uploadCopies(stage, source, { picture, count: 3 }))
      const each = perSecond * setting.seconds
      const paths = await uploadCopies(stage, source, { picture, count: each * setting.rounds })
      return await inTurn({
        rounds: setting.rounds,
        serverPid: stage.server.pid,
        own: async () => await generate(stage, paths.splice(0, each)),
        reference: () => sharpAlone(file, setting.seconds),
      })
    },
  }
}

/** 60 frames of 400 x 300 pixels in 128 colours, 4 MB: soft shapes that wander, and noise of its own in each frame. */
async function animation(): Promise<Buffer> {
  const size = { width: 400, height: 300 }
  const shapes = await noise({ width: 16, height: 9 }, 60).png().toBuffer()
  const scene = await sharp(shapes).resize({ width: 640, height: 360, kernel: 'cubic' }).png().toBuffer()
  const frames = Array.from({ length: 60 }, async (_, frame) => {
    const grain = await noise(size, 9).png().toBuffer()
    const cut = await sharp(scene)
      .extract({ left: frame * 4, top: frame, ...size })
      .png()
      .toBuffer()
    return await sharp(cut)
      .composite([{ input: grain, blend: 'soft-light' }])
      .png()
      .toBuffer()
  })
  const whole = sharp(await Promise.all(frames), { join: { animated: true } })
  return await whole.gif({ colours: 128, delay: Array<number>(60).fill(50) }).toBuffer()
}

/** A picture of 4000 x 3000 pixels and some 2.5 MB, as a telephone takes them: soft shapes and a sensor's noise. */
async function photo(): Promise<Buffer> {
  const shapes = await noise({ width: 40, height: 30 }, 60).png().toBuffer()
  const grain = await noise(PHOTO, 9).png({ compressionLevel: 0 }).toBuffer()
  const scene = await sharp(shapes)
    .resize({ ...PHOTO, kernel: 'cubic' })
    .png({ compressionLevel: 0 })
    .toBuffer()
  const composite = sharp(scene).composite([{ input: grain, blend: 'soft-light' }])
  return await composite.jpeg({ quality: 85 }).toBuffer()
}

function noise(size: typeof PHOTO, sigma: number): Sharp {
  const gaussian = { type: 'gaussian', mean: 128, sigma } as const
  return sharp({ create: { ...size, channels: 3, background: 'grey', noise: gaussian } })
}

/** The same picture as `count` different files. */
async function uploadCopies(
  stage: Stage,
  { type, query, copy }: Source,
  { picture, count }: { readonly picture: Buffer; readonly count: number },
): Promise<string[]> {
  const paths: string[] = []
  for (let made = 0; made < count; made++) {
    paths.push((await stage.upload({ bytes: copy(picture), type }, 'thumbnail')) + query)
  }
  return paths
}

/** A JPEG with another comment. */
function withComment(picture: Buffer): Buffer {
  const comment = Buffer.concat([Buffer.from([0xff, 0xfe, 0, 18]), randomBytes(16)])
  return Buffer.concat([picture.subarray(0, 2), comment, picture.subarray(2)])
}

/** A GIF with other bytes after its end, which nobody reads. */
function withTail(picture: Buffer): Buffer {
  return Buffer.concat([picture, randomBytes(16)])
}

async function generate(stage: Stage, paths: readonly string[]): Promise<Measured> {
  const durations: number[] = []
  for (const path of paths) {
    const began = performance.now()
    await fetchThumbnail(stage, path)
    durations.push(performance.now() - began)
  }
  const total = durations.reduce((sum, one) => sum + one, 0)
  return { value: (1000 * durations.length) / total, p50Ms: median(durations), p99Ms: Math.max(...durations) }
}

async function fetchThumbnail({ server, headers }: Stage, path: string): Promise<Buffer> {
  const { Host = '', ...others } = headers
  const answer = await fetch(server.url + path, { headers: { ...others, 'X-Forwarded-Host': Host } })
  const body = Buffer.from(await answer.arrayBuffer())
  if (answer.status === 200) return body
  throw new Error(`a thumbnail was answered ${answer.status}: ${body.toString()}`)
}

async function sharpAlone(file: string, seconds: number): Promise<number> {
  const program = fileURLToPath(new URL('../references/sharp.ts', import.meta.url))
  return Number(
    await runProgram({ command: [...pinned(SERVER_CORE), process.execPath, program, file, String(seconds)] }),
  )
}
