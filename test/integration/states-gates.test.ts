/** What gates say of files × every path × every instance (test/support/states). */
import { afterAll, beforeAll, test } from 'vitest'
import { startClamd } from '../support/clamd.ts'
import { checkState } from '../support/states/check.ts'
import { JUDGED } from '../support/states/gate-states.ts'
import { type Pair, startPair } from '../support/states/pair.ts'
import { describeWith } from '../support/services.ts'

describeWith(['postgres', 'openssl', 'clamd'], 'Two instances on one PostgreSQL, with every gate', () => {
  const cleanup = new AsyncDisposableStack()
  let pair: Pair
  beforeAll(async () => {
    const clamd = cleanup.use(await startClamd())
    pair = cleanup.use(await startPair({ gates: { clamd: clamd.address } }))
  }, 90_000)
  afterAll(() => cleanup.disposeAsync())

  test.for(JUDGED)('$of, $state', { timeout: 60_000 }, (row) => checkState(pair, row))
})
