import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../support/folder.ts'
import { startProgram } from '../support/processes.ts'
import { startServer } from '../support/server.ts'

const CELLARIUM = fileURLToPath(new URL('../../bin/cellarium.js', import.meta.url))

test('cellarium tasks lists, cancels and begins again, and says what cannot be', async () => {
  await using folder = await temporaryFolder()
  const sqlite = join(folder.path, 'tasks.sqlite')
  const config = { homeservers: [{ name: 'example.org', csApi: 'http://127.0.0.1:9' }], database: { sqlite } }
  await using _ = await startServer({ folder: folder.path, config })
  {
    using db = new DatabaseSync(sqlite, { timeout: 10_000 })
    // A newer version's: nobody here takes them up. They ended just now: those of long ago are swept away.
    db.exec(`INSERT INTO tasks (id, name, params, progress, started_at, ended_at, error) VALUES
      (1, 'newer', '{}', '{}', 0, ${Date.now()}, ''), (2, 'newer', '{"a":1}', '{}', 0, ${Date.now()}, 'the disk is full'),
      (3, 'newer', '{"a":2}', '{}', 0, NULL, '')`)
  }
  const run = async (...args: string[]) => {
    const command = [process.execPath, CELLARIUM, 'tasks', ...args, '-c', join(folder.path, 'cellarium.yaml')]
    await using program = await startProgram({ command, folder: folder.path })
    const { code } = await program.ended
    return [code, program.lines.join('\n')]
  }
  const began = '1970-01-01T00:00:00.000Z'
  expect(await run('retry', '2')).toEqual([0, 'Task 4 does it again.'])
  expect(await run('retry', '2')).toEqual([0, 'Task 4 does it already.'])
  expect(await run('cancel', '3')).toEqual([0, expect.stringContaining('Task 3 ends where it is')])
  const [code, text] = await run('list')
  expect([code, String(text).replace(/(^4 {2}newer {2})\S+/m, '$1now')]).toEqual([
    0,
    [
      `1  newer  ${began}  done`,
      `2  newer  ${began}  failed: the disk is full`,
      `3  newer  ${began}  to be cancelled`,
      '4  newer  now  unfinished  retry of 2',
    ].join('\n'),
  ])
  const [, json] = await run('list', '--unfinished', '--json')
  const shown = String(json)
    .split('\n')
    .map((line) => (JSON.parse(line) as { readonly id: number }).id)
  expect(shown).toEqual([3, 4])
  expect(await run('retry', '1')).toEqual([1, 'Task 1 is done: nothing went wrong'])
  expect(await run('retry', '3')).toEqual([1, 'Task 3 has not ended'])
  expect(await run('cancel', '2')).toEqual([1, 'Task 2 has ended already'])
  expect(await run('cancel', '9')).toEqual([1, 'There is no task 9'])
  expect(await run('cancel', 'x')).toEqual([1, 'x: give the number of a task'])
}, 120_000)
