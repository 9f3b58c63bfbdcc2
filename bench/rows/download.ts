import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import PQueue from 'p-queue'
import { inTurn, type Measured } from '../in-turn.ts'
import { type Load, wrk } from '../load/wrk.ts'
import { type Aim, MEGABYTE, MIB, type Row, sizeName } from '../row.ts'
import { type FileServer, startNginx } from '../references/nginx.ts'
import { openStage, type Stage } from '../stage.ts'

export interface DownloadRow {
  readonly name: string
  readonly bytes: number
  /** 1: one file again and again; otherwise one of so many at random. */
  readonly files: number
  readonly aim: Aim
}

const CONNECTIONS = 16
const WARM_UP_SECONDS = 5

/** Downloads with an access token whose owner is known, against nginx that serves the same bytes. */
export function download({ name, bytes, files, aim }: DownloadRow): Row {
  const large = bytes >= MIB
  return {
    name,
    title: `download ${sizeName(bytes)}, ${files === 1 ? 'one file' : `${files} files at random`}, 16 at a time`,
    unit: large ? 'MB/s' : 'requests/s',
    reference: 'nginx',
    aim,
    async measure(setting) {
      await using stage = await openStage(setting)
      await using nginx = await startNginx(stage.folder)
      const paths = await fill(stage, nginx, { bytes, files })
      const own = async (seconds: number) => check(await load(stage.server.url, paths.own, seconds, stage), bytes)
      const reference = async (seconds: number) => check(await load(nginx.url, paths.nginx, seconds, stage), bytes)
      await own(WARM_UP_SECONDS)
      await reference(1)
      const figure = (measured: Load): Measured => ({
        value: measured.perSecond * (large ? bytes / MEGABYTE : 1),
        p50Ms: measured.p50Ms,
        p99Ms: measured.p99Ms,
      })
      return await inTurn({
        rounds: setting.rounds,
        serverPid: stage.server.pid,
        own: async () => figure(await own(setting.seconds)),
        reference: async () => figure(await reference(setting.seconds)).value,
      })
    },
  }
}

interface Paths {
  readonly own: readonly string[]
  readonly nginx: readonly string[]
}

/** Gives both the same files. */
async function fill(
  stage: Stage,
  nginx: FileServer,
  { bytes, files }: Pick<DownloadRow, 'bytes' | 'files'>,
): Promise<Paths> {
  const queue = new PQueue({ concurrency: 16 })
  const filled = Array.from({ length: files }, (_, index) => async () => {
    const content = randomBytes(bytes)
    await writeFile(join(nginx.root, String(index)), content)
    return { own: await stage.upload({ bytes: content, type: 'image/png' }), nginx: `/${index}` }
  })
  const paths = await queue.addAll(filled)
  return { own: paths.map((path) => path.own), nginx: paths.map((path) => path.nginx) }
}

async function load(url: string, paths: readonly string[], seconds: number, stage: Stage): Promise<Load> {
  const common = { headers: stage.headers, connections: CONNECTIONS, seconds }
  const [first = ''] = paths
  if (paths.length === 1) return await wrk({ ...common, url: url + first })
  const list = join(stage.folder, 'paths')
  await writeFile(list, paths.join('\n'))
  return await wrk({ ...common, url, script: 'random', tell: { BENCH_PATHS: list } })
}

/** Answers that are shorter than the file are none, whatever their status. */
function check(measured: Load, bytes: number): Load {
  if (measured.bytesEach >= bytes * 0.95) return measured
  throw new Error(`answers had ${Math.round(measured.bytesEach)} bytes on average, the file has ${bytes}`)
}
