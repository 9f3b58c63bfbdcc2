import { setTimeout as pause } from 'node:timers/promises'
import { type Comparison, inTurn, type Measured, median } from '../in-turn.ts'
import { readSlowly } from '../load/slow-readers.ts'
import { peakDuring } from '../memory.ts'
import { type Connections, openRemoteStage, type RemoteStage } from '../remote.ts'
import { type Aim, MEGABYTE, type Row, sizeName } from '../row.ts'
import { newSeed } from '../stage.ts'
import { added, SETTLE_MS, SLOW_BYTES_PER_SECOND } from './memory.ts'

const WARM_UP_SECONDS = 5
/** Nobody asks for the next file the moment the last one ends. */
export const PAUSE_MS = 20

export interface FetchRow {
  readonly name: string
  readonly bytes: number
  readonly connections: number
  readonly aim: Aim
}

/** Files of another server that nobody had asked for before, next to undici alone that gets them onto the same disk. */
export function remoteFetch({ name, bytes, connections, aim }: FetchRow): Row {
  return {
    name,
    title: `fetch ${sizeName(bytes)} from another server, ${connections} at a time`,
    unit: 'MB/s',
    reference: 'undici alone',
    aim,
    async measure({ seconds, rounds, ...setting }) {
      await using remote = await openRemoteStage(setting)
      await remote.fetchMany({ bytes, connections, until: { seconds: WARM_UP_SECONDS } })
      const alone: number[] = []
      const compared = await inTurn({
        rounds,
        ...pidsOf(remote),
        own: async () => {
          const got = await remote.fetchMany({ bytes, connections, until: { seconds } })
          return { value: ((got.fetches / got.seconds) * bytes) / MEGABYTE, p50Ms: got.p50Ms, p99Ms: got.p99Ms }
        },
        reference: async () => {
          const got = await remote.undiciAlone({ bytes, connections, seconds })
          alone.push(got.cpuMsPerMegabyte)
          return got.megabytesPerSecond
        },
      })
      return { ...compared, note: cpuNote(compared, median(alone)) }
    },
  }
}

/** Steadier than the rate on a machine that is not quiet. */
function cpuNote({ serverCpu = NaN, value }: Comparison, alone: number): string {
  return `${((1000 * serverCpu) / value).toFixed(2)} ms of CPU for each MB; undici ${alone.toFixed(2)}`
}

export interface FirstByteRow extends Pick<FetchRow, 'name' | 'bytes' | 'aim'> {
  readonly over: Connections
}

const OVER = { plain: '', kept: ' over TLS', new: ' over TLS, each on a new connection' } as const

/**
 * From the request to the first byte of a file that has to be fetched, one at a time, next to its origin's own answer. nginx and a
 * few lines of Node, which only pass it on, say what of the difference is the way through one more process on this machine.
 */
export function firstByte({ name, bytes, over, aim }: FirstByteRow): Row {
  return {
    name,
    title: `fetch ${sizeName(bytes)} from another server${OVER[over]}: time to the first byte`,
    unit: 'ms',
    reference: 'its origin',
    aim,
    async measure({ seconds, rounds, ...setting }) {
      await using remote = await openRemoteStage(setting, over)
      const fetches = { bytes, connections: 1, pauseMs: PAUSE_MS }
      const warmUp = { ...fetches, bytes: 100_000, pauseMs: 1, until: { seconds: 10 } }
      await remote.fetchMany(warmUp)
      await remote.askThroughNode(warmUp)
      const timed = { ...fetches, until: { seconds } }
      const through = { nginx: [] as number[], node: [] as number[] }
      const compared = await inTurn({
        rounds,
        ...pidsOf(remote),
        own: async () => firstByteOf(await remote.fetchMany(timed)),
        reference: async () => {
          const { value } = firstByteOf(await remote.askOrigin(timed))
          through.nginx.push(firstByteOf(await remote.askThroughNginx(timed)).value / value)
          through.node.push(firstByteOf(await remote.askThroughNode(timed)).value / value)
          return value
        },
      })
      const [nginx, node] = [median(through.nginx).toFixed(2), median(through.node).toFixed(2)]
      return { ...compared, note: `passed on only: by nginx ${nginx} of its origin, by Node ${node}` }
    },
  }
}

export function firstByteOf(got: { readonly firstByteP50Ms: number; readonly firstByteP99Ms: number }): Measured {
  return { value: got.firstByteP50Ms, p50Ms: got.firstByteP50Ms, p99Ms: got.firstByteP99Ms }
}

export interface SharedFetchRow {
  readonly name: string
  readonly bytes: number
  readonly askers: number
  readonly aim: Aim
}

/** How often the origin is asked for a file that many ask for at the same moment. */
export function sharedFetch({ name, bytes, askers, aim }: SharedFetchRow): Row {
  return {
    name,
    title: `${askers} ask for one file of another server (${sizeName(bytes)}) at once: how often it is fetched`,
    unit: 'times',
    aim,
    async measure({ rounds, ...setting }) {
      await using remote = await openRemoteStage(setting)
      return await inTurn({
        rounds,
        ...pidsOf(remote),
        own: async () => {
          const seed = newSeed()
          const all = { bytes, seed, connections: askers, until: { fetches: askers }, same: true }
          const { p50Ms, p99Ms } = await remote.fetchMany(all)
          return { value: await remote.asked(`${bytes}-${seed}`), p50Ms, p99Ms }
        },
      })
    },
  }
}

export interface FetchMemoryRow extends FetchRow {
  /** Clients that read as fast as they can, or slower than the files come. */
  readonly readers: 'quick' | 'slow'
}

/** What fetches of different files at the same time add to the memory of an idle server, at their peak. */
export function fetchMemory({ name, bytes, connections, readers, aim }: FetchMemoryRow): Row {
  return {
    name,
    title: `memory added by ${connections} fetches of ${sizeName(bytes)} at once, for ${readers} clients`,
    unit: 'MiB',
    aim,
    async measure(setting) {
      await using remote = await openRemoteStage(setting)
      await pause(SETTLE_MS)
      const work = readers === 'slow' ? fetchForSlow : fetchForQuick
      return added(await peakDuring(remote.stage.server.pid, () => work(remote, bytes, connections)))
    },
  }
}

async function fetchForQuick(remote: RemoteStage, bytes: number, connections: number): Promise<void> {
  await remote.fetchMany({ bytes, connections, until: { fetches: connections } })
}

/** To the end, at the pace of the other rows with slow clients. */
async function fetchForSlow({ stage, origin }: RemoteStage, bytes: number, readers: number): Promise<void> {
  const seed = newSeed()
  const base = `${stage.server.url}/_matrix/client/v1/media/download/${origin.name}`
  const urls = Array.from({ length: readers }, (_, number) => `${base}/${bytes}-${seed}-${number}`)
  const seconds = (1.25 * bytes) / SLOW_BYTES_PER_SECOND
  const received = await readSlowly({
    urls,
    headers: stage.headers,
    bytesPerSecond: SLOW_BYTES_PER_SECOND,
    seconds,
  })
  if (received !== bytes * readers) throw new Error(`${received} bytes came in ${seconds} s, not ${bytes * readers}`)
}

function pidsOf({ stage, origin }: RemoteStage) {
  return { serverPid: stage.server.pid, loadPids: [origin.pid] }
}
