import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import { LocalNotifier } from '../../../src/coordination/notifier.ts'
import type { Database } from '../../../src/db/connect.ts'
import { addTask, cancelTask, findTask, type Task } from '../../../src/db/tasks.ts'
import { Refused } from '../../../src/lib/errors.ts'
import { openMetrics } from '../../../src/lib/metrics.ts'
import { leaseOf, type RunningTask, type TaskKind } from '../../../src/tasks/run-task.ts'
import { TaskRunner } from '../../../src/tasks/runner.ts'
import { eventually } from '../../support/app.ts'
import { close, many, NOW, type OpenDatabase, table } from './support.ts'

const log = pino({ level: 'silent' })
const STEPS = 5

const copying = (run: (task: RunningTask) => Promise<string | undefined>): TaskKind => ({ name: 'copying', run })

/** An instance that knows these tasks. */
function runner(db: Database, kind: TaskKind) {
  const events = { log, metrics: openMetrics({ version: 'test' }) }
  const parts = {
    db,
    log,
    events,
    notifier: new LocalNotifier({ log }),
    newToken: randomUUID,
    clock: { now: () => NOW + 1 },
  }
  return new TaskRunner(parts, [kind], { atATime: 3, pollMs: 50, lookMs: 50, leaseMs: 5000 })
}

async function add(db: Database, name = 'copying'): Promise<number> {
  const { id } = await db.write(addTask, { name, params: {}, progress: { done: 0 }, startedAt: NOW })
  return id
}

async function untilEnded(db: Database, id: number): Promise<Task | undefined> {
  await eventually(async () => ((await findTask(db.read, id))?.endedAt ?? null) !== null, 30_000)
  return await findTask(db.read, id)
}

const doneOf = (task: Pick<Task, 'progress'>) => Number(task.progress['done'])

export function runnersContract(open: OpenDatabase): void {
  describe('Task runners', () => {
    test('leave a task that has to wait, do others of its kind meanwhile, and go on with it when it is ready', async () => {
      await using under = await open()
      const waiting = await add(under.db)
      const other = await add(under.db)
      let isReady = true
      const kind: TaskKind = {
        ...copying(async ({ held, progress, save }) => {
          if (held.id === other || progress['done'] === 1) return ''
          isReady = false
          await save({ done: 1 })
          return undefined
        }),
        isReady: async ({ id }) => id === other || isReady,
      }
      await using _ = runner(under.db, kind)
      await untilEnded(under.db, other)
      expect(await findTask(under.db.read, waiting)).toMatchObject({ endedAt: null, progress: { done: 1 } })
      isReady = true
      expect(await untilEnded(under.db, waiting)).toMatchObject({ error: '' })
      const third = await add(under.db)
      isReady = false
      await under.db.write(cancelTask, { id: third, at: NOW })
      expect(await untilEnded(under.db, third), 'what is cancelled waits for nothing').toMatchObject({
        error: 'cancelled',
      })
    })

    test('work on a task on one instance only, and on one of a kind after the other', async () => {
      await using under = await open()
      const dbs = [under.db, await under.another(), await under.another()]
      const seen: number[] = []
      let working = 0
      const kind = copying(async ({ held, save }) => {
        expect(++working).toBe(1)
        seen.push(held.id)
        await pause(50)
        await save({ done: STEPS })
        working--
        return held.id === 2 ? 'one file is damaged' : ''
      })
      const instances = dbs.map((db) => runner(db, kind))
      for (const _ of many(3, () => 0)) await add(under.db)
      expect(await untilEnded(under.db, 3)).toMatchObject({ error: '', progress: { done: STEPS }, endedAt: NOW + 1 })
      expect(await findTask(under.db.read, 2)).toMatchObject({ error: 'one file is damaged' })
      await Promise.all(instances.map((instance) => instance[Symbol.asyncDispose]()))
      expect(seen).toEqual([1, 2, 3])
      await close(dbs)
    })

    test('that stop leave a task where it is, and the next goes on from there', async () => {
      await using under = await open()
      const id = await add(under.db)
      const steps: number[] = []
      const slow = copying(async ({ signal, save }) => {
        await save({ done: 2 })
        steps.push(2)
        await once(signal, 'abort')
        signal.throwIfAborted()
        return ''
      })
      const first = runner(under.db, slow)
      await eventually(() => steps.length > 0)
      await first[Symbol.asyncDispose]()
      expect(await findTask(under.db.read, id)).toMatchObject({ endedAt: null, progress: { done: 2 } })
      const quick = copying(async (task) => {
        for (let done = doneOf(task) + 1; done <= STEPS; done++) {
          steps.push(done)
          await task.save({ done })
        }
        return ''
      })
      await using _ = runner(under.db, quick)
      expect(await untilEnded(under.db, id)).toMatchObject({ error: '', progress: { done: STEPS } })
      expect(steps).toEqual([2, 3, 4, 5])
    })

    test('that lost a task to another change nothing more', async () => {
      await using under = await open()
      const id = await add(under.db)
      const saved: string[] = []
      const kind = copying(async ({ save }) => {
        // As if this process had been stopped until its lease was over, and somebody else had taken the task.
        await under.execute(`UPDATE ${table(under.db, 'leases')} SET token = 'theirs', expires_at = 9007199254740991`)
        await save({ done: 4 }).catch((error: Error) => {
          saved.push(error.name)
          throw error
        })
        return 'never'
      })
      {
        await using _ = runner(under.db, kind)
        await eventually(() => saved.length > 0)
      }
      expect(saved).toEqual(['LeaseLost'])
      expect(await findTask(under.db.read, id)).toMatchObject({ endedAt: null, progress: { done: 0 } })
      const leases = await under.db.read.selectFrom('leases').select(['name', 'token']).execute()
      expect(leases).toEqual([{ name: leaseOf('copying'), token: 'theirs' }])
    })

    test('end a task that is cancelled, also in the middle', async () => {
      await using under = await open()
      const id = await add(under.db)
      let begun = false
      const kind = copying(async ({ signal, save }) => {
        await save({ done: 1 })
        begun = true
        await once(signal, 'abort')
        signal.throwIfAborted()
        return ''
      })
      await using _ = runner(under.db, kind)
      await eventually(() => begun)
      await under.db.write(cancelTask, { id, at: NOW })
      expect(await untilEnded(under.db, id)).toMatchObject({ error: 'cancelled', progress: { done: 1 } })
    })

    test('try again what was interrupted, and end at once what cannot be', async () => {
      await using under = await open()
      const [interrupted, impossible] = [await add(under.db), await add(under.db)]
      const attempts = new Map<number, number>()
      const kind = copying(async ({ held, progress, save }) => {
        const attempt = (attempts.get(held.id) ?? 0) + 1
        attempts.set(held.id, attempt)
        if (held.id === impossible) throw new Refused('bad_request', 'there is no such datastore')
        if (attempt === 2) return `went on from ${doneOf({ progress })}`
        await save({ done: 3 })
        throw new Error('the database restarts')
      })
      await using _ = runner(under.db, kind)
      expect(await untilEnded(under.db, impossible)).toMatchObject({ error: 'there is no such datastore' })
      expect(await findTask(under.db.read, interrupted)).toMatchObject({ error: 'went on from 3' })
      expect([...attempts.values()]).toEqual([2, 1])
    })

    test('leave tasks alone that they do not know: a newer version’s', async () => {
      await using under = await open()
      const unknown = await add(under.db, 'something new')
      const known = await add(under.db)
      await using _ = runner(
        under.db,
        copying(async () => ''),
      )
      await untilEnded(under.db, known)
      expect(await findTask(under.db.read, unknown)).toMatchObject({ endedAt: null })
    })
  })
}
