import { inTurn } from '../in-turn.ts'
import { wrk } from '../load/wrk.ts'
import type { Row } from '../row.ts'
import { openStage } from '../stage.ts'

const WARM_UP_SECONDS = 5

/** A request that asks neither the database nor the disk: what HTTP, routing, the token cache, the log and metrics cost. */
export function config({ name }: { readonly name: string }): Row {
  return {
    name,
    title: '`config` (no database), 16 at a time',
    unit: 'requests/s',
    async measure(setting) {
      await using stage = await openStage(setting)
      const { server, headers } = stage
      const load = async (seconds: number) => {
        const url = `${server.url}/_matrix/client/v1/media/config`
        const { perSecond, ...rest } = await wrk({ url, headers, connections: 16, seconds })
        return { value: perSecond, ...rest }
      }
      await load(WARM_UP_SECONDS)
      return await inTurn({ rounds: setting.rounds, serverPid: server.pid, own: () => load(setting.seconds) })
    },
  }
}
