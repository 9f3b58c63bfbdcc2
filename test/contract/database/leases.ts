import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import type { Database } from '../../../src/db/connect.ts'
import { holdsLease, isLeased, releaseLease, renewLease, sweepLeases, takeLease } from '../../../src/db/leases.ts'
import { type Queryable, unit } from '../../../src/db/query.ts'
import { LeaseLost, withLease } from '../../../src/db/with-lease.ts'
import { close, many, type OpenDatabase, pick, table } from './support.ts'

const LONG = 600_000
const log = pino({ level: 'silent' })
const lease = (token: string, ms = LONG) => ({ name: 'work', token, ms })

/** Asks as leased work does, inside a transaction. Only PostgreSQL runs units that `units.ts` does not know. */
const holds = (db: Database, token: string) =>
  db.engine === 'postgres'
    ? db.write(
        unit('holds', (tx: Queryable) => holdsLease(tx, lease(token))),
        undefined,
      )
    : holdsLease(db.read, lease(token))

export function leasesContract(open: OpenDatabase): void {
  describe('Leases', () => {
    test('go to one of many who want them at once', async () => {
      await using under = await open()
      const dbs = [under.db, await under.another(), await under.another()]
      const taken = await Promise.all(many(30, (index) => pick(dbs, index).write(takeLease, lease(`token ${index}`))))
      expect(taken.filter(Boolean)).toHaveLength(1)
      expect(await holds(under.db, `token ${taken.indexOf(true)}`)).toBe(true)
      expect(await isLeased(under.db.read, 'work')).toBe(true)
      expect(await isLeased(under.db.read, 'other work')).toBe(false)
      await close(dbs)
    })

    test('go to the next when they are given back, and by their holder only', async () => {
      await using under = await open()
      const { db } = under
      expect(await db.write(takeLease, lease('a'))).toBe(true)
      await db.write(releaseLease, lease('b'))
      expect(await db.write(takeLease, lease('b'))).toBe(false)
      expect(await db.write(takeLease, lease('a'))).toBe(true)
      await db.write(releaseLease, lease('a'))
      expect(await holds(db, 'a')).toBe(false)
      expect(await db.write(takeLease, lease('b'))).toBe(true)
    })

    test('end by the time of the database, and then whoever held them can do nothing more', async () => {
      await using under = await open()
      const { db } = under
      expect(await db.write(takeLease, lease('a', 50))).toBe(true)
      await pause(60)
      // Nobody took it: it can still be renewed.
      expect(await holds(db, 'a')).toBe(true)
      expect(await db.write(renewLease, lease('a', 50))).toBe(true)
      await pause(60)
      expect(await db.write(takeLease, lease('b'))).toBe(true)
      expect(await holds(db, 'a')).toBe(false)
      expect(await db.write(renewLease, lease('a'))).toBe(false)
      await db.write(releaseLease, lease('a'))
      expect(await holds(db, 'b')).toBe(true)
    })

    test('last as long as they were renewed for', async () => {
      await using under = await open()
      const { db } = under
      await db.write(takeLease, lease('a', 1))
      expect(await db.write(renewLease, lease('a'))).toBe(true)
      await pause(20)
      expect(await db.write(takeLease, lease('b'))).toBe(false)
    })

    test('of holders that died are swept, others stay', async () => {
      await using under = await open()
      const { db } = under
      await db.write(takeLease, { name: 'dead', token: 'a', ms: 1 })
      await db.write(takeLease, { name: 'held', token: 'a', ms: LONG })
      await pause(20)
      expect(await db.write(sweepLeases, { keptMs: LONG, limit: 10 })).toBe(0)
      expect(await db.write(sweepLeases, { keptMs: 0, limit: 10 })).toBe(1)
      expect(await db.read.selectFrom('leases').select('name').execute()).toEqual([{ name: 'held' }])
    })
  })

  describe('Work under a lease', () => {
    test('is done by one at a time, for longer than the lease was taken for', async () => {
      await using under = await open()
      const dbs = [under.db, await under.another()]
      let [working, most, tokens] = [0, 0, 0]
      const results = await Promise.all(
        many(6, (index) =>
          withLease(
            { db: pick(dbs, index), log, newToken: () => `token ${tokens++}` },
            'work',
            { ms: 300 },
            async () => {
              most = Math.max(most, ++working)
              await pause(1000)
              working--
              return index
            },
          ),
        ),
      )
      expect(most).toBe(1)
      expect(results.filter(({ outcome }) => outcome === 'done')).toHaveLength(1)
      expect(await isLeased(under.db.read, 'work')).toBe(false)
      await close(dbs)
    })

    test('is told when somebody else has the lease', async () => {
      await using under = await open()
      const { db } = under
      const parts = { db, log, newToken: () => 'a' }
      const working = withLease(parts, 'work', { ms: 150 }, async (_, signal) => {
        await under.execute(`UPDATE ${table(db, 'leases')} SET token = 'b'`)
        await once(signal, 'abort')
        signal.throwIfAborted()
      })
      await expect(working).rejects.toThrow(LeaseLost)
      expect(await holds(db, 'b')).toBe(true)
    })

    test('is told when the database does not answer any more', async () => {
      await using under = await open()
      let down = false
      const write: Database['write'] = (what, args) =>
        down ? Promise.reject(new Error('down')) : under.db.write(what, args)
      const parts = { db: { write }, log, newToken: () => 'a' }
      const working = withLease(parts, 'work', { ms: 150 }, async (_, signal) => {
        down = true
        await once(signal, 'abort')
        signal.throwIfAborted()
      })
      await expect(working).rejects.toThrow('could not be renewed for 150 ms')
    })

    test('gives the lease back when it fails', async () => {
      await using under = await open()
      const parts = { db: under.db, log, newToken: () => 'a' }
      const working = withLease(parts, 'work', {}, () => Promise.reject(new Error('broken')))
      await expect(working).rejects.toThrow('broken')
      expect(await isLeased(under.db.read, 'work')).toBe(false)
    })
  })
}
