/**
 * `npm run bench`: measures a Cellarium of its own on one core, with the load generator on another, and prints a table. See
 * docs/performance.md.
 */
import { execFile } from 'node:child_process'
import { rmSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { Command, InvalidArgumentError } from 'commander'
import { findProgram } from '../test/support/processes.ts'
import { stayOnLoadCore } from './cores.ts'
import type { Comparison } from './in-turn.ts'
import { RecordDatabases } from './records/databases.ts'
import type { Row } from './row.ts'
import { rows } from './rows.ts'
import { machineLine, type Result, table } from './table.ts'

interface Options {
  readonly only: readonly string[]
  readonly seconds: number
  readonly rounds: number
  readonly json?: string
  readonly folder: string
  readonly media: number
  readonly profile?: string
}

const QUIET = 0.5
const NEEDED = { wrk: 'wrk', taskset: 'util-linux' } as const

async function bench(options: Options): Promise<void> {
  const chosen = choose(options.only)
  refuseIfMissing()
  await stayOnLoadCore()
  const [load = 0] = loadavg()
  const quiet = load <= QUIET ? '' : ' (not quiet: figures will be low)'
  console.log(`${machineLine()}\nload before the start: ${load.toFixed(2)}${quiet}\n`)

  const folder = await workingFolder(options.folder)
  await using records = new RecordDatabases(folder, options.media)
  const results: Result[] = []
  for (const row of chosen) {
    console.error(`measuring ${row.name}`)
    results.push({ row, measured: await measure(row, folder, records, options) })
  }
  console.log(`\n${table(results)}`)
  if (options.json) await writeFile(options.json, `${JSON.stringify(figures(results, load), null, 2)}\n`)
}

/** Removed at the end, however that comes: a bench that is broken off would leave gigabytes. */
async function workingFolder(below: string): Promise<string> {
  const path = await mkdtemp(join(below, 'cellarium-bench-'))
  // Searchable, not readable: PostgreSQL may have to run as another user, in a folder of its own below this one.
  await chmod(path, 0o711)
  process.once('exit', () => rmSync(path, { recursive: true, force: true, maxRetries: 5 }))
  // ext4 is slow to make files where many were deleted in the last minutes, as the row or run before did. T (chattr(1)) has it
  // put each row's folder somewhere else; other file systems neither know nor need it.
  await promisify(execFile)('chattr', ['+T', path]).catch(() => {})
  return path
}

async function measure(
  row: Row,
  below: string,
  records: RecordDatabases,
  { seconds, rounds, profile }: Options,
): Promise<Comparison> {
  const profiles = profile === undefined ? undefined : resolve(profile, row.name)
  if (profiles !== undefined) await mkdir(profiles, { recursive: true })
  const folder = await mkdtemp(join(below, `${row.name}-`))
  const measured = await row.measure({ folder, seconds, rounds, records, profiles })
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  return measured
}

function choose(only: readonly string[]): readonly Row[] {
  if (only.length === 0) return rows.filter(({ onlyWhenNamed }) => !onlyWhenNamed)
  const chosen = rows.filter(({ name }) => only.some((part) => (isName(part) ? name === part : name.includes(part))))
  if (chosen.length > 0) return chosen
  throw new Error(`no row is called ${only.join(' or ')}; there are ${rows.map(({ name }) => name).join(', ')}`)
}

function isName(text: string): boolean {
  return rows.some(({ name }) => name === text)
}

function refuseIfMissing(): void {
  for (const [program, debianPackage] of Object.entries(NEEDED)) {
    if (!findProgram(program)) throw new Error(`${program} is missing (Debian: ${debianPackage})`)
  }
}

/** For other programs: the figures, the machine, and what the load was. */
function figures(results: readonly Result[], load: number) {
  return {
    machine: machineLine(),
    load,
    rows: results.map(({ row, measured }) => ({
      name: row.name,
      unit: row.unit,
      ...measured,
      ...(row.aim && { aim: row.aim.text, reached: row.aim.isReached(measured) }),
    })),
  }
}

function collect(value: string, before: readonly string[]): string[] {
  return [...before, value]
}

function atLeastOne(value: string): number {
  const number = Number(value)
  if (Number.isInteger(number) && number >= 1) return number
  throw new InvalidArgumentError('a whole number from 1')
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

await new Command('bench')
  .description('Measures Cellarium on this machine. Nothing else should be running.')
  .option('--only <name>', 'only this row, or all whose name contains this; may be repeated', collect, [])
  .option('--seconds <n>', 'how long each measurement lasts', atLeastOne, 4)
  .option('--rounds <n>', 'how often Cellarium and its reference take turns', atLeastOne, 3)
  .option('--json <file>', 'write the figures there too')
  .option('--folder <folder>', 'a folder on the disk to be measured', tmpdir())
  .option('--media <n>', 'how many media the rows of many records have', atLeastOne, 10_000_000)
  .option('--profile <folder>', 'leave CPU profiles of the server there (it is slower meanwhile)')
  .addHelpText('after', `\nRows: ${rows.map((row) => row.name).join(', ')}`)
  .action(bench)
  .parseAsync()
