import { fileURLToPath } from 'node:url'
import { runProgram } from '../../test/support/processes.ts'
import { pinned, SERVER_CORE } from '../cores.ts'
import { inTurn } from '../in-turn.ts'
import { wrk } from '../load/wrk.ts'
import { type Aim, MEGABYTE, type Row, sizeName } from '../row.ts'
import { openStage } from '../stage.ts'
import { type OpenStore, openStore } from '../store.ts'

const WARM_UP_SECONDS = 10

export interface S3Row {
  readonly name: string
  readonly bytes: number
  readonly connections: number
  readonly aim: Aim
}

/** Uploads that end in a bucket, next to the AWS SDK alone that puts bytes from memory, on the same core. */
export function s3Upload({ name, bytes, connections, aim }: S3Row): Row {
  return {
    ...common('upload', name, bytes, connections, aim),
    async measure(setting) {
      await using store = await openStore('bucket')
      await using stage = await openStage({ ...setting, config: store.config })
      await stage.uploadMany({ bytes, connections, until: { uploads: connections } })
      return await inTurn({
        rounds: setting.rounds,
        serverPid: stage.server.pid,
        own: async () => {
          const sent = await stage.uploadMany({ bytes, connections, until: { seconds: setting.seconds } })
          return { value: ((sent.uploads / sent.seconds) * bytes) / MEGABYTE, p50Ms: sent.p50Ms, p99Ms: sent.p99Ms }
        },
        reference: () => alone(store, ['put', bytes, connections, setting.seconds]),
      })
    },
  }
}

/** Downloads of one file from a bucket, next to the AWS SDK alone that gets it and drops it. */
export function s3Download({ name, bytes, connections, aim }: S3Row): Row {
  return {
    ...common('download', name, bytes, connections, aim),
    async measure(setting) {
      await using store = await openStore('bucket')
      await using stage = await openStage({ ...setting, config: store.config })
      const path = await stage.upload({ bytes: Buffer.alloc(bytes, '.'), type: 'video/mp4' })
      const load = { url: stage.server.url + path, headers: stage.headers, connections }
      await wrk({ ...load, seconds: WARM_UP_SECONDS })
      return await inTurn({
        rounds: setting.rounds,
        serverPid: stage.server.pid,
        own: async () => {
          const { perSecond, p50Ms, p99Ms } = await wrk({ ...load, seconds: setting.seconds })
          return { value: (perSecond * bytes) / MEGABYTE, p50Ms, p99Ms }
        },
        reference: () => alone(store, ['get', bytes, connections, setting.seconds]),
      })
    },
  }
}

function common(what: 'upload' | 'download', name: string, bytes: number, connections: number, aim: Aim) {
  const title = `S3: ${what} ${sizeName(bytes)}, ${connections} at a time`
  return { name, title, unit: 'MB/s', reference: 'AWS SDK alone', aim }
}

/** MB/s. */
async function alone({ bucket }: OpenStore, args: readonly (string | number)[]): Promise<number> {
  const program = fileURLToPath(new URL('../references/s3.ts', import.meta.url))
  const all = [...args, JSON.stringify(bucket?.options)].map(String)
  return Number(await runProgram({ command: [...pinned(SERVER_CORE), process.execPath, program, ...all] })) / MEGABYTE
}
