import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setTimeout as pause } from 'node:timers/promises'
import { readFile, writeFile } from 'node:fs/promises'
import { stringify } from 'yaml'
import { expect, test } from 'vitest'
import { configOf, emptyMmr, fillMmr } from '../support/mmr.ts'
import { startProgram } from '../support/processes.ts'
import { describeWith } from '../support/services.ts'

const CELLARIUM = fileURLToPath(new URL('../../bin/cellarium.js', import.meta.url))
/** A million where that is asked for: `CELLARIUM_MMR_ROWS=1000000`. */
const ROWS = Number(process.env['CELLARIUM_MMR_ROWS'] ?? 50_000)
/** What the rows need that are held at a time; for any number of them. */
const FLAT_MIB = 120

describeWith('postgres', 'A large database of matrix-media-repo', () => {
  for (const target of ['its own database', 'SQLite'] as const) {
    test(`is copied into ${target} in memory that does not grow with it`, async () => {
      await using mmr = await emptyMmr()
      await fillMmr(mmr, ROWS)
      const config = {
        ...configOf(mmr, 'http://127.0.0.1:9'),
        repo: { dataPath: join(mmr.folder, 'data'), logDirectory: '-' },
      }
      const here = target === 'its own database'
      const configFile = join(mmr.folder, 'config.yaml')
      await writeFile(configFile, stringify(here ? config : { ...config, database: {} }))
      const from = here ? [] : ['--database', mmr.url]
      const command = [process.execPath, CELLARIUM, 'import', 'mmr', '--config', configFile, ...from]
      const began = performance.now()
      await using program = await startProgram({ command, folder: mmr.folder })
      const memory: number[] = []
      const watching = watch(program.pid, memory)
      const { code } = await program.ended
      await watching
      expect(code, program.lines.join('\n')).toBe(0)
      const seconds = (performance.now() - began) / 1000
      const [early = 0] = memory.slice(Math.floor(memory.length / 4))
      const most = Math.max(...memory)
      console.log(
        `${target}: ${ROWS} media in ${seconds.toFixed(1)} s with start and end, ${Math.round((ROWS * 1.2) / seconds)} rows/s; ` +
          `${Math.round(early)} MiB after a quarter, ${Math.round(most)} MiB at most`,
      )
      expect(program.lines.join('\n')).toContain('everything is here since')
      expect(most - early).toBeLessThan(FLAT_MIB)
    }, 900_000)
  }
})

/** Notes the resident memory of a process, in MiB, until it ends. */
async function watch(pid: number, memory: number[]): Promise<void> {
  for (;;) {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
    const [, kib] = /^VmRSS:\s+(\d+)/m.exec(status) ?? []
    if (kib === undefined) return
    memory.push(Number(kib) / 1024)
    await pause(100)
  }
}
