import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { expect, test, vi } from 'vitest'
import { type Program, runProgram, startProgram } from '../support/processes.ts'
import { temporaryFolder } from '../support/folder.ts'

const ROUNDS = 6

test('A server on SQLite that is killed while it writes loses nothing it said was stored', async () => {
  await using folder = await temporaryFolder()
  const path = join(folder.path, 'db.sqlite')
  const committed: string[] = []
  for (let round = 0; round < ROUNDS; round++) {
    await using writer = await startWriter(path, `round${round}`)
    // Each round a little later, so that it falls on another moment of writing, syncing and checkpointing.
    await untilCommitted(writer, 40 + round * 157)
    await writer.stop('SIGKILL')
    committed.push(...idsOf(writer, 'committed'))
    expectWhole(path, committed)
  }
})

test('A server on SQLite whose disk takes nothing more fails what it cannot store, stores nothing by halves, and goes on', async () => {
  await using folder = await temporaryFolder()
  const path = join(folder.path, 'db.sqlite')
  await using writer = await startWriter(path, 'disk')
  for (const round of [1, 2, 3]) {
    await untilCommitted(writer, round * 50)
    await limitFiles(writer, '0:unlimited')
    const failed = idsOf(writer, 'failed').length
    await vi.waitFor(() => expect(idsOf(writer, 'failed').length).toBeGreaterThan(failed + 8), { timeout: 10_000 })
    await limitFiles(writer, 'unlimited')
    const committed = idsOf(writer, 'committed').length
    await vi.waitFor(() => expect(idsOf(writer, 'committed').length).toBeGreaterThan(committed), { timeout: 10_000 })
  }
  await writer.stop('SIGKILL')
  const kept = expectWhole(path, idsOf(writer, 'committed'))
  expect(idsOf(writer, 'failed').filter((mediaId) => kept.has(mediaId))).toEqual([])
})

async function startWriter(path: string, prefix: string): Promise<Program> {
  const script = fileURLToPath(new URL('../support/database-writer.ts', import.meta.url))
  return await startProgram({ command: [process.execPath, script, path, prefix], endSignal: 'SIGKILL' })
}

function idsOf({ lines }: Program, what: 'committed' | 'failed'): string[] {
  return lines.filter((line) => line.startsWith(`${what} `)).map((line) => line.split(' ')[1] ?? '')
}

async function untilCommitted(writer: Program, count: number): Promise<void> {
  await vi.waitFor(() => expect(idsOf(writer, 'committed').length, writer.lines.at(-1)).toBeGreaterThanOrEqual(count), {
    timeout: 15_000,
    interval: 5,
  })
}

/** How large files may get that the process writes to, from now on: 0 stands for a disk that is full. */
async function limitFiles(writer: Program, limit: string): Promise<void> {
  await runProgram({ command: ['prlimit', '--pid', String(writer.pid), `--fsize=${limit}`] })
}

/** Everything committed is there, nothing refers to what is not, and what is used adds up. Gives all media ids. */
function expectWhole(path: string, committed: readonly string[]): Set<string> {
  const database = new DatabaseSync(path)
  try {
    const ids = database.prepare('SELECT media_id FROM media').all()
    const kept = new Set(ids.map((row) => String(row['media_id'])))
    expect(committed.filter((mediaId) => !kept.has(mediaId))).toEqual([])
    expect(database.prepare('PRAGMA integrity_check').all()).toEqual([{ integrity_check: 'ok' }])
    expect(database.prepare('PRAGMA foreign_key_check').all()).toEqual([])
    const counts = database.prepare(
      `SELECT (SELECT count(*) FROM objects) AS objects, (SELECT sum(files) FROM usage_changes WHERE subject LIKE 'user:%') AS used`,
    )
    expect(counts.get()).toEqual({ objects: kept.size, used: kept.size })
    return kept
  } finally {
    database.close()
  }
}
