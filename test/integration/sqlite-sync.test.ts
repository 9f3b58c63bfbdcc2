import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../support/folder.ts'
import { runProgram } from '../support/processes.ts'
import { describeWith, requireService } from '../support/services.ts'
import { callsOf } from '../support/strace.ts'

const WRITER = fileURLToPath(new URL('../support/lease-writer.ts', import.meta.url))

describeWith('strace', 'On SQLite', () => {
  test('leases wait for no disk, and what is stored does, also right after them and together with them', async () => {
    await using folder = await temporaryFolder()
    const path = join(folder.path, 'db.sqlite')
    const record = join(folder.path, 'strace')
    const strace = [requireService('strace'), '-f', '-y', '-e', 'trace=write,fsync,fdatasync', '-e', 'signal=none']
    await runProgram({ command: [...strace, '-o', record, process.execPath, WRITER, path] })
    const syncs = new Map<string, number>()
    let step = 'start'
    for (const call of callsOf(await readFile(record, 'utf8'))) {
      step = /^write\(1<.*"begin ([a-z ]+)\\n"/.exec(call.text)?.[1] ?? step
      const isSync = call.name.endsWith('sync') && call.isOn(`${path}-wal`)
      syncs.set(step, (syncs.get(step) ?? 0) + (isSync ? 1 : 0))
    }
    expect(Object.fromEntries(syncs)).toMatchObject({
      'leases alone': 0,
      'medium after leases': 1,
      'both at once': 1,
    })
  }, 60_000)
})
