import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import type { Queryable } from './query.ts'
import { kyselyOn, openForWriting } from './sqlite.ts'
import type { FailedWrite, WriteAnswer, WriteRequest } from './sqlite-writes.ts'
import { units } from './units.ts'

/**
 * The thread that writes to SQLite. What has queued while a commit was being synced is committed together by the next one:
 * each unit in a savepoint of its own, one sync for all, and answers only after it. Passing ones alone are not synced.
 */
if (!parentPort) throw new Error('sqlite-writer.ts is started as a worker thread')
const port = parentPort
const database = openForWriting((workerData as { path: string }).path)
const tx = kyselyOn(database)
const queue: WriteRequest[] = []
let working = false
let syncs = true

port.on('message', (request: WriteRequest | 'close') => {
  if (request === 'close') return close()
  queue.push(request)
  if (!working) void work()
})

async function work(): Promise<void> {
  working = true
  while (queue.length > 0) {
    takeWaiting()
    const batch = queue.splice(0, queue.length)
    port.postMessage(await commit(batch))
  }
  working = false
}

/** Messages that came while the thread was busy are still in the port; they belong into this batch. */
function takeWaiting(): void {
  for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port)) {
    if (next.message === 'close') setImmediate(close)
    else queue.push(next.message as WriteRequest)
  }
}

async function commit(batch: readonly WriteRequest[]): Promise<WriteAnswer[]> {
  try {
    syncIf(!batch.every(isPassing))
    database.exec('BEGIN IMMEDIATE')
    const answers: WriteAnswer[] = []
    for (const request of batch) answers.push(await inSavepoint(request))
    database.exec('COMMIT')
    return answers
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK')
    return batch.map(({ id }) => ({ id, failed: describe(error) }))
  }
}

function isPassing({ unit }: WriteRequest): boolean {
  return units.get(unit)?.passing === true
}

/**
 * Whether the next commit is to be on disk before it counts. One that is not stands all the same when this process dies, and is
 * synced with the next one that is: only a power failure undoes it. Source: SQLite, "PRAGMA synchronous", for write-ahead logs.
 */
function syncIf(wanted: boolean): void {
  if (wanted === syncs) return
  database.exec(`PRAGMA synchronous = ${wanted ? 'FULL' : 'NORMAL'}`)
  syncs = wanted
}

async function inSavepoint({ id, unit, args }: WriteRequest): Promise<WriteAnswer> {
  database.exec('SAVEPOINT unit')
  try {
    const found = units.get(unit)
    if (!found) throw new Error(`units.ts does not know the write unit ${unit}`)
    const run = found.run as (db: Queryable, args: unknown) => Promise<unknown>
    const value = await run(tx, args)
    database.exec('RELEASE unit')
    return { id, value }
  } catch (error) {
    // A full disk or an I/O error may have ended the whole transaction: then nothing of the batch stands.
    if (!database.isTransaction) throw error
    database.exec('ROLLBACK TO unit')
    database.exec('RELEASE unit')
    return { id, failed: describe(error) }
  }
}

function describe(error: unknown): FailedWrite {
  const { message, stack, errcode } = error as Error & { errcode?: number }
  return { message, stack, errcode }
}

function close(): void {
  database.close()
  port.close()
}
