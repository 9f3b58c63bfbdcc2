import { utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { startProgram } from '../processes.ts'
import { expectWhole, type Repository } from './checks.ts'

const CELLARIUM = fileURLToPath(new URL('../../../bin/cellarium.js', import.meta.url))
const TWO_DAYS_S = 2 * 24 * 3600

/** As if two days had passed: one check with `--repair` finds nothing lost or damaged, and leaves no object without a row. */
export async function expectSwept(
  repository: Repository,
  configFile: string,
  orphans: readonly string[],
): Promise<void> {
  const then = Date.now() / 1000 - TWO_DAYS_S
  for (const orphan of orphans) await utimes(join(repository.mediaFolder, orphan), then, then)
  await repository.query('UPDATE unused_objects SET delete_after = 0')
  const { code, printed } = await repair(configFile)
  expect(code, printed).toBe(0)
  const { datastores } = JSON.parse(printed)
  expect(datastores).toMatchObject([
    { checked: { found: { lost: { objects: 0 }, damaged: { objects: 0 }, orphan: { objects: orphans.length } } } },
  ])
  expect(await expectWhole(repository)).toEqual([])
}

/** `--force`: a repository that died a hundred times may have more orphans than seem right. */
async function repair(configFile: string): Promise<{ readonly code: number | null; readonly printed: string }> {
  const flags = ['--repair', '--force', '--verify', '--json', '--config', configFile]
  await using program = await startProgram({ command: [process.execPath, CELLARIUM, 'datastores', 'check', ...flags] })
  const { code } = await program.ended
  const printed = program.lines.join('\n')
  return { code, printed: printed.slice(printed.indexOf('{')) }
}
