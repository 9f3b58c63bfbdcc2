import { inTurn, median } from '../in-turn.ts'
import { KIB, type Row, sizeName } from '../row.ts'
import { type Asked, type Asking, openSynapseStage, type SynapseStage, type Uploaded } from '../synapse.ts'
import { type FetchRow, firstByteOf, PAUSE_MS } from './fetch.ts'

const SMALL = 10 * KIB
/** Small ones before each measurement, for the client to be as quick as it will be. */
const UNCOUNTED = 30
/** Small ones before the first measurement, for Cellarium and Synapse. */
const WARM_UP = 600

export interface SynapseRow extends Pick<FetchRow, 'name' | 'bytes' | 'aim'> {
  /** How many in each round. */
  readonly files: number
}

/**
 * From the request to the first byte of a file that has to be fetched from a real Synapse, one at a time, next to the beginning of
 * Synapse's own answer. Each file is fetched once, and asked for directly once.
 */
export function firstByteOfSynapse({ name, bytes, files, aim }: SynapseRow): Row {
  return {
    name,
    title: `fetch ${sizeName(bytes)} from Synapse: time to the first byte`,
    unit: 'ms',
    reference: 'Synapse',
    aim,
    onlyWhenNamed: true,
    async measure({ rounds, ...setting }) {
      await using peers = await openSynapseStage(setting)
      const small = await peers.upload({ bytes: SMALL, count: WARM_UP + rounds * UNCOUNTED })
      const large = await peers.upload({ bytes, count: rounds * files })
      await ask(peers, 'cellarium', { files: small.slice(rounds * UNCOUNTED), uncounted: 0 })
      const turns = Array.from({ length: rounds }, (_, round) => ({
        files: [...partOf(small, round, UNCOUNTED), ...partOf(large, round, files)],
        uncounted: UNCOUNTED,
      }))
      const [own, direct] = [turns.values(), turns.values()]
      const ratios: number[] = []
      const compared = await inTurn({
        rounds,
        serverPid: peers.stage.server.pid,
        loadPids: [peers.synapsePid],
        own: () => ask(peers, 'cellarium', next(own)),
        reference: async () => {
          const turn = next(direct)
          const { value } = await ask(peers, 'synapse', turn)
          ratios.push((await ask(peers, 'nginx', turn)).value / value)
          return value
        },
      })
      return { ...compared, note: `through nginx ${median(ratios).toFixed(2)} of Synapse` }
    },
  }
}

type Turn = Omit<Asking, 'pauseMs'>

async function ask(peers: SynapseStage, asked: Asked, turn: Turn) {
  return firstByteOf(await peers.fetch(asked, { ...turn, pauseMs: PAUSE_MS }))
}

function partOf(files: readonly Uploaded[], round: number, length: number): readonly Uploaded[] {
  return files.slice(round * length, (round + 1) * length)
}

/** `inTurn` asks for as many as there are. */
function next(turns: Iterator<Turn, undefined>): Turn {
  const { value } = turns.next()
  if (!value) throw new Error('there are no more turns')
  return value
}
