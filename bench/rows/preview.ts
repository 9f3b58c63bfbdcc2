import { inTurn, type Measured, median } from '../in-turn.ts'
import { wrk } from '../load/wrk.ts'
import { peakDuring } from '../memory.ts'
import { type Aim, type Row, sizeName } from '../row.ts'
import { newSeed, openStage, type Stage, startOnLoadCore } from '../stage.ts'

const WARM_UP_SECONDS = 5
const CONNECTIONS = 16
const CONFIG = { urlPreviews: { disallowedNetworks: [], allowedNetworks: ['127.0.0.0/8'] } }
const PATH = '/_matrix/client/v1/media/preview_url?url='

export interface PreviewRow {
  readonly name: string
  readonly bytes: number
  readonly aim: Aim
}

/** One preview that is asked for again and again, as when a room of many people opens. */
export function cachedPreview({ name, bytes, aim }: PreviewRow): Row {
  return {
    name,
    title: `preview that is there already, ${CONNECTIONS} at a time`,
    unit: 'requests/s',
    aim,
    async measure(setting) {
      await using stage = await openStage({ ...setting, config: CONFIG })
      await using site = await startOnLoadCore('load/pages.ts')
      const { server, headers } = stage
      const load = async (seconds: number): Promise<Measured> => {
        const url = server.url + PATH + encodeURIComponent(`http://127.0.0.1:${site.port}/${bytes}/page`)
        const { perSecond, ...rest } = await wrk({ url, headers, connections: CONNECTIONS, seconds })
        return { value: perSecond, ...rest }
      }
      await load(WARM_UP_SECONDS)
      return await inTurn({ rounds: setting.rounds, serverPid: server.pid, own: () => load(setting.seconds) })
    },
  }
}

/** Pages of eight sites that nobody has asked for before, without pictures. */
export function firstPreview({ name, bytes, aim }: PreviewRow): Row {
  return {
    name,
    title: `preview of a page of ${sizeName(bytes)} for the first time, ${CONNECTIONS} at a time`,
    unit: 'requests/s',
    aim,
    async measure(setting) {
      await using stage = await openStage({ ...setting, config: CONFIG })
      await using site = await startOnLoadCore('load/pages.ts')
      const { server, headers } = stage
      const load = async (seconds: number): Promise<Measured> => {
        const page = encodeURIComponent(`http://127.0.0.N:${site.port}/${bytes}/${newSeed()}`)
        const tell = { BENCH_FIRST: `${PATH}${page.replaceAll('%', '%%').replace('.N', '.%d')}-%d` }
        const options = { url: server.url, headers, connections: CONNECTIONS, seconds, tell }
        const { perSecond, ...rest } = await wrk({ ...options, script: 'first' })
        return { value: perSecond, ...rest }
      }
      await load(WARM_UP_SECONDS)
      return await inTurn({
        rounds: setting.rounds,
        serverPid: server.pid,
        loadPids: [site.pid],
        own: () => load(setting.seconds),
      })
    },
  }
}

/** A page as large as pages may be, one at a time; beside it what that adds to the server's memory. */
export function largePreview({ name, bytes, aim }: PreviewRow): Row {
  return {
    name,
    title: `preview of a page of ${sizeName(bytes)}, one at a time`,
    unit: 'ms',
    aim,
    async measure(setting) {
      await using stage = await openStage({ ...setting, config: CONFIG })
      await using site = await startOnLoadCore('load/pages.ts')
      const ask = () => askOnce(stage, `http://127.0.0.1:${site.port}/${bytes}/${newSeed()}`)
      await ask()
      const { pid } = stage.server
      const adds: number[] = []
      const own = async (): Promise<Measured> => {
        const took: number[] = []
        const { before, most } = await peakDuring(pid, async () => {
          const end = performance.now() + setting.seconds * 1000
          do took.push(await ask())
          while (performance.now() < end)
        })
        adds.push(most - before)
        return { value: median(took) }
      }
      const compared = await inTurn({ rounds: setting.rounds, serverPid: pid, own })
      return { ...compared, note: `${Math.max(...adds).toFixed(0)} MiB of memory more meanwhile` }
    },
  }
}

/** How long it took, in ms. */
async function askOnce({ server, headers: { Host = '', ...headers } }: Stage, page: string): Promise<number> {
  const began = performance.now()
  const answer = await fetch(server.url + PATH + encodeURIComponent(page), {
    // fetch does not let Host be chosen.
    headers: { ...headers, 'X-Forwarded-Host': Host },
  })
  const text = await answer.text()
  if (answer.status !== 200) throw new Error(`a preview was answered ${answer.status}: ${text}`)
  return performance.now() - began
}
