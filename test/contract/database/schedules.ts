import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import type { Database } from '../../../src/db/connect.ts'
import { lastRun } from '../../../src/db/jobs.ts'
import { isLeased, takeLease } from '../../../src/db/leases.ts'
import { type Metrics, openMetrics } from '../../../src/lib/metrics.ts'
import { type Job, startSchedule } from '../../../src/tasks/schedule.ts'
import { eventually } from '../../support/app.ts'
import { close, many, type OpenDatabase, table } from './support.ts'

const log = pino({ level: 'silent' })
const HOUR_MS = 3_600_000

/** An instance that does these jobs. */
function schedule(db: Database, ...jobs: Job[]) {
  return scheduled(db, jobs, openMetrics({ version: 'test' }))
}

function scheduled(db: Database, jobs: readonly Job[], metrics: Metrics, random: () => number = Math.random) {
  const events = { log, metrics }
  return startSchedule({ db, log, events, newToken: randomUUID, random, clock: { now: () => Date.now() } }, jobs)
}

// Not so early that one of them is due while this test runs.
const late = () => 0.3 + 0.7 * Math.random()

export function schedulesContract(open: OpenDatabase): void {
  describe('A schedule', () => {
    test('runs a job once among all instances each time it is due', async () => {
      await using under = await open()
      const dbs = [under.db, await under.another(), await under.another()]
      const everyMs = 300
      let working = 0
      const runs: { readonly began: number; ended: number }[] = []
      const run = async () => {
        expect(++working).toBe(1)
        const began = performance.now()
        await pause(50)
        runs.push({ began, ended: performance.now() })
        working--
      }
      const instances = dbs.map((db) => schedule(db, { name: 'sweeping', everyMs, run }))
      await eventually(() => runs.length >= 4, 30_000)
      await Promise.all(instances.map((instance) => instance[Symbol.asyncDispose]()))
      const gaps = runs.slice(1).map(({ began }, index) => began - (runs[index]?.ended ?? 0))
      // The two clocks, and their whole milliseconds, may differ by a little.
      for (const gap of gaps) expect(gap).toBeGreaterThan(everyMs - 20)
      await close(dbs)
    })

    test('remembers over restarts when a job is due', async () => {
      await using under = await open()
      let runs = 0
      const job = { name: 'sweeping', everyMs: 1000, run: async () => void runs++ }
      {
        await using _ = schedule(under.db, job)
        await eventually(async () => await lastRun(under.db.read, 'sweeping'))
      }
      await using _ = schedule(under.db, { ...job, everyMs: 600_000 }, { ...job, name: 'folding', everyMs: 10 })
      await eventually(async () => await lastRun(under.db.read, 'folding'))
      await pause(200)
      expect((await lastRun(under.db.read, 'sweeping'))?.error).toBe('')
      expect(runs).toBeGreaterThan(1)
      expect((await lastRun(under.db.read, 'sweeping'))?.agoMs).toBeGreaterThan(100)
    })

    test('begins with rare jobs at different times within the hour, which it remembers', async () => {
      await using under = await open()
      let runs = 0
      const rare = (name: string): Job => ({ name, everyMs: 24 * HOUR_MS, run: async () => void runs++ })
      const jobs = many(30, (index) => rare(`rare ${index}`))
      const due = async () => {
        const all = await Promise.all(jobs.map(({ name }) => lastRun(under.db.read, name)))
        return all.every((last) => last) ? all.map((last) => 24 * HOUR_MS - (last?.agoMs ?? 0)) : undefined
      }
      const metrics = openMetrics({ version: 'test' })
      let before: number[] | undefined
      {
        await using _ = scheduled(under.db, jobs, metrics, late)
        // Each asks for the first time within twenty seconds.
        await eventually(async () => (before = await due()), 60_000)
      }
      for (const inMs of before ?? []) expect(inMs).toBeLessThanOrEqual(HOUR_MS)
      expect(Math.max(...(before ?? [])) - Math.min(...(before ?? []))).toBeGreaterThan(HOUR_MS / 10)
      const [first] = jobs
      if (!first) throw new Error('there are jobs')
      await under.execute(`UPDATE ${table(under.db, 'jobs')} SET ended_at = 0 WHERE name = '${first.name}'`)
      await using _ = scheduled(under.db, jobs, metrics, late)
      let again: readonly number[] = []
      await eventually(async () => ((again = (await due()) ?? [])[0] ?? 0) > HOUR_MS, 60_000)
      expect(runs).toBe(1)
      for (const [index, inMs] of again.entries()) if (index > 0) expect(inMs).toBeLessThanOrEqual(before?.[index] ?? 0)
    }, 180_000)

    test('tells on every instance when a job last ended well, wherever that was', async () => {
      await using under = await open()
      const job = { name: 'sweeping', everyMs: 600_000, run: async () => {} }
      const ago = Date.now() - 100_000
      await under.execute(
        `INSERT INTO ${table(under.db, 'jobs')} (name, ended_at, error, succeeded_at) VALUES ('sweeping', ${ago}, '', ${ago})`,
      )
      const metrics = openMetrics({ version: 'test' })
      await using _ = scheduled(under.db, [job], metrics)
      const line = /^cellarium_job_last_success_timestamp_seconds\{job="sweeping"\} (\S+)$/m
      const told = () => line.exec(metrics.jobSuccess.render())?.[1]
      await eventually(told, 60_000)
      // The two clocks may differ by a little.
      expect(Math.abs(Number(told()) * 1000 - ago)).toBeLessThan(5000)
    }, 90_000)

    test('notes what went wrong, and tries again', async () => {
      await using under = await open()
      const errors: unknown[] = []
      const run = async () => {
        errors.push((await lastRun(under.db.read, 'sweeping'))?.error)
        if (errors.length === 1) throw new Error('the disk is full')
      }
      await using _ = schedule(under.db, { name: 'sweeping', everyMs: 50, run })
      await eventually(async () => errors.length >= 3)
      expect(errors.slice(0, 3)).toEqual([undefined, 'the disk is full', ''])
    })

    test('goes on with a job whose instance died', async () => {
      await using under = await open()
      // Before the lease, which lasts from when the database takes it.
      const began = performance.now()
      await under.db.write(takeLease, { name: 'job sweeping', token: 'dead', ms: 400 })
      let ran = 0
      await using _ = schedule(under.db, {
        name: 'sweeping',
        everyMs: 50,
        run: async () => void (ran ||= performance.now()),
      })
      await eventually(() => ran > 0)
      expect(ran - began).toBeGreaterThan(300)
    })

    test('that ends stops the job under way, and leaves it to another instance', async () => {
      await using under = await open()
      const stopped: unknown[] = []
      const instance = schedule(under.db, {
        name: 'sweeping',
        everyMs: 50,
        run: async ({ signal }) => {
          stopped.push('begun')
          await once(signal, 'abort')
          stopped.push('ended')
        },
      })
      await eventually(() => stopped.length > 0)
      await instance[Symbol.asyncDispose]()
      expect(stopped).toEqual(['begun', 'ended'])
      expect(await lastRun(under.db.read, 'sweeping')).toBeUndefined()
      expect(await isLeased(under.db.read, 'job sweeping')).toBe(false)
    })
  })
}
