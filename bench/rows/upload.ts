import { fileURLToPath } from 'node:url'
import { runProgram } from '../../test/support/processes.ts'
import { pinned, SERVER_CORE } from '../cores.ts'
import { inTurn, type Measured } from '../in-turn.ts'
import { wrk } from '../load/wrk.ts'
import { type Aim, MEGABYTE, MIB, type Row, sizeName } from '../row.ts'
import { newSeed, openStage, type Stage, UPLOAD_PATH } from '../stage.ts'

export interface UploadRow {
  readonly name: string
  readonly bytes: number
  readonly connections: number
  /** SQLite's synced commits on the same disk, or SHA-256 of the same bytes on the same core. */
  readonly against: 'commits' | 'sha256'
  readonly aim?: Aim
}

const WARM_UP_SECONDS = 5

export interface KnownUploadRow {
  readonly name: string
  readonly bytes: number
  readonly connections: number
  readonly aim: Aim
}

/** Uploads of bytes that are stored already: they are received and hashed, and nothing else is stored. */
export function knownUpload({ name, bytes, connections, aim }: KnownUploadRow): Row {
  return {
    name,
    title: `upload ${sizeName(bytes)} that is known, ${connections} at a time`,
    unit: 'MB/s',
    reference: 'SHA-256 alone',
    aim,
    async measure(setting) {
      await using stage = await openStage(setting)
      const known = { bytes, connections, same: true, seed: newSeed() }
      await stage.uploadMany({ ...known, until: { uploads: connections } })
      return await inTurn({
        rounds: setting.rounds,
        serverPid: stage.server.pid,
        own: async () => {
          const sent = await stage.uploadMany({ ...known, until: { seconds: setting.seconds } })
          return { value: ((sent.uploads / sent.seconds) * bytes) / MEGABYTE, p50Ms: sent.p50Ms, p99Ms: sent.p99Ms }
        },
        reference: () => hashing(bytes),
      })
    },
  }
}

/** Uploads of ever new bytes, everything synced to disk before the answer. */
export function upload({ name, bytes, connections, against, aim }: UploadRow): Row {
  const inBytes = against === 'sha256'
  return {
    name,
    title: `upload ${sizeName(bytes)}, ${connections} at a time`,
    unit: inBytes ? 'MB/s' : 'requests/s',
    reference: inBytes ? 'SHA-256 alone' : 'SQLite alone',
    ...(aim && { aim }),
    async measure(setting) {
      await using stage = await openStage(setting)
      const send = (seconds: number) => (bytes < MIB ? bySmall : byLarge)(stage, { bytes, connections, seconds })
      await send(WARM_UP_SECONDS)
      return await inTurn({
        rounds: setting.rounds,
        serverPid: stage.server.pid,
        own: async () => {
          const sent = await send(setting.seconds)
          return { ...sent, value: sent.value * (inBytes ? bytes / MEGABYTE : 1) }
        },
        reference: () => (inBytes ? hashing(bytes) : commits(stage.folder)),
      })
    },
  }
}

interface Uploads {
  readonly bytes: number
  readonly connections: number
  readonly seconds: number
}

async function bySmall(stage: Stage, { bytes, connections, seconds }: Uploads): Promise<Measured> {
  const { perSecond, p50Ms, p99Ms } = await wrk({
    url: stage.server.url + UPLOAD_PATH,
    headers: { ...stage.headers, 'Content-Type': 'image/png' },
    connections,
    seconds,
    script: 'upload',
    tell: { BENCH_BYTES: String(bytes), BENCH_SEED: newSeed() },
  })
  return { value: perSecond, p50Ms, p99Ms }
}

async function byLarge(stage: Stage, { bytes, connections, seconds }: Uploads): Promise<Measured> {
  const sent = await stage.uploadMany({ bytes, connections, until: { seconds } })
  return { value: sent.uploads / sent.seconds, p50Ms: sent.p50Ms, p99Ms: sent.p99Ms }
}

/** MB/s. */
async function hashing(bytes: number): Promise<number> {
  return (await alone('sha256.ts', [String(bytes), '1'])) / MEGABYTE
}

const commits = (folder: string): Promise<number> => alone('commits.ts', [folder, '1'])

async function alone(file: string, args: readonly string[]): Promise<number> {
  const program = fileURLToPath(new URL(`../references/${file}`, import.meta.url))
  const command = [...pinned(SERVER_CORE), process.execPath, '--disable-warning=ExperimentalWarning', program, ...args]
  return Number(await runProgram({ command }))
}
