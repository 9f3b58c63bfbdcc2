import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setTimeout as pause } from 'node:timers/promises'
import { readFile, writeFile } from 'node:fs/promises'
import { stringify } from 'yaml'
import { expect, test } from 'vitest'
import { cellarium, configOf, emptyMmr, fillMmr, type MmrPlace } from '../support/mmr.ts'
import { startProgram } from '../support/processes.ts'
import { describeWith, freePort, freshDatabase } from '../support/services.ts'

const CELLARIUM = fileURLToPath(new URL('../../bin/cellarium.js', import.meta.url))
/** A million where that is asked for: `CELLARIUM_MMR_ROWS=1000000`. */
const ROWS = Number(process.env['CELLARIUM_MMR_ROWS'] ?? 20_000)
/** What a process may take, for any number of rows: twenty thousand, or a million. */
const MOST_MIB = 400
const PATIENT_MS = 3_600_000

describeWith('postgres', 'A large database of matrix-media-repo is copied in memory that does not grow with it', () => {
  test(
    'by a server on the same database, while a command shows how far it is',
    async () => {
      await using mmr = await filledMmr()
      const repo = { port: await freePort(), bindAddress: '127.0.0.1' }
      const configFile = await configured(mmr, { database: { postgres: mmr.url }, repo })
      const began = performance.now()
      await using server = await startProgram({
        command: [process.execPath, CELLARIUM, 'serve', '--config', configFile],
      })
      const memory = watchMemory(server.pid)
      await untilBegun(mmr)
      const { code, text } = await cellarium('import', 'mmr', '--config', configFile)
      expect(code, text).toBe(0)
      expect(text).toMatch(/^\d+ %, [\d,]+ of [\d,]+ rows.*\([a-z ]+\)$/m)
      report('a server on the same database', { began, memory, text })
    },
    PATIENT_MS,
  )

  for (const target of ['another PostgreSQL database', 'SQLite'] as const) {
    test(
      `by the command, into ${target}`,
      async () => {
        await using mmr = await filledMmr()
        await using other = await freshDatabase()
        const database = target === 'SQLite' ? {} : { postgres: other.url }
        const args = ['import', 'mmr', '--config', await configured(mmr, { database }), '--database', mmr.url]
        const began = performance.now()
        await using program = await startProgram({ command: [process.execPath, CELLARIUM, ...args] })
        const memory = watchMemory(program.pid)
        const { code } = await program.ended
        const text = program.lines.join('\n')
        expect(code, text).toBe(0)
        report(target, { began, memory, text })
      },
      PATIENT_MS,
    )
  }
})

interface Copied {
  readonly began: number
  readonly memory: readonly number[]
  readonly text: string
}

function report(target: string, { began, memory, text }: Copied): void {
  const seconds = (performance.now() - began) / 1000
  const tenths = Array.from({ length: 10 }, (_, at) => memory[Math.floor(((at + 1) * memory.length) / 10) - 1] ?? 0)
  console.log(
    `${target}: ${ROWS} media in ${seconds.toFixed(1)} s with start and end, ${Math.round((ROWS * 1.2) / seconds)} rows/s; ` +
      `MiB at each tenth of the time: ${tenths.map((mib) => Math.round(mib)).join(' ')}`,
  )
  expect(text).toContain('everything is here since')
  expect(text).toMatch(new RegExp(`${ROWS.toLocaleString('en')} {2}of its media were seen`))
  expect(memory.reduce((a, b) => Math.max(a, b), 0)).toBeLessThan(MOST_MIB)
}

async function filledMmr(): Promise<MmrPlace> {
  const mmr = await emptyMmr()
  await fillMmr(mmr, ROWS)
  return mmr
}

async function configured(mmr: MmrPlace, more: { readonly database: object; readonly repo?: object }): Promise<string> {
  const repo = { dataPath: join(mmr.folder, 'data'), logDirectory: '-', ...more.repo }
  const configFile = join(mmr.folder, 'config.yaml')
  await writeFile(configFile, stringify({ ...configOf(mmr, 'http://127.0.0.1:9'), ...more, repo }))
  return configFile
}

/** Before, there is nothing that a command could look at. */
async function untilBegun({ query }: MmrPlace): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    if ((await query('SELECT state FROM cellarium.mmr_take_over').catch(() => [])).length > 0) return
    await pause(50)
  }
  throw new Error('the server did not begin to copy')
}

/** The resident memory of a process in MiB, ten times a second, until it ends. */
function watchMemory(pid: number): readonly number[] {
  const memory: number[] = []
  const watch = async () => {
    for (;;) {
      const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
      const [, kib] = /^VmRSS:\s+(\d+)/m.exec(status) ?? []
      if (kib === undefined) return
      memory.push(Number(kib) / 1024)
      await pause(100)
    }
  }
  void watch()
  return memory
}
