/** Every moderation state × every path × every instance (test/support/states). */
import { afterAll, beforeAll, test } from 'vitest'
import { checkState } from '../support/states/check.ts'
import { type Pair, type PairOptions, startPair } from '../support/states/pair.ts'
import { OTHERS } from '../support/states/other-states.ts'
import type { State } from '../support/states/row.ts'
import { MODERATED } from '../support/states/states.ts'
import { describeWith, type Service } from '../support/services.ts'

const NEEDED = ['postgres', 'openssl'] as const

/** The first row for each of what `by` gives. */
const oneForEach = (by: (row: State) => unknown): readonly State[] => [
  ...new Map(MODERATED.toReversed().map((row) => [JSON.stringify(by(row)), row])).values(),
]

describeStates('Two instances on one PostgreSQL', NEEDED, {}, [...MODERATED, ...OTHERS])
// Messages and bytes go another way; who gets what is decided in the same place.
describeStates(
  'The same, with Redis',
  [...NEEDED, 'redis-server'],
  { redis: true },
  oneForEach(({ told, again }) => [told, again]),
)
describeStates(
  'The same, with a bucket to which clients are sent',
  [...NEEDED, 'versitygw'],
  { bucket: true },
  oneForEach(({ told }) => told),
)

function describeStates(
  title: string,
  services: readonly Service[],
  options: PairOptions,
  rows: readonly State[],
): void {
  describeWith([...services], title, () => {
    let pair: Pair
    beforeAll(async () => void (pair = await startPair(options)), 60_000)
    afterAll(() => pair[Symbol.asyncDispose]())

    test.for(rows)('$of, $state', { timeout: 60_000 }, (row) => checkState(pair, row))
  })
}
