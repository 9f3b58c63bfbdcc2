import { Command } from 'commander'
import type { Tools } from '../app/tools.ts'
import { findTask, type Task } from '../db/tasks.ts'
import { usageOf } from '../db/usage.ts'
import { Refused } from '../lib/errors.ts'
import { beginTransfer, estimateTransfer, refuseImpossible, type TransferProgress } from '../media/transfer.ts'
import { bytes, count, timeOf } from './amounts.ts'
import type { SourceOptions } from './config-source.ts'
import { commandLine, withTools } from './tools.ts'
import { checkCommand } from './datastores-check.ts'
import { TransferDisplay } from './transfer-progress.ts'
import { watchTask } from './watch-task.ts'

interface ListOptions extends SourceOptions {
  readonly json?: boolean
}

interface TransferOptions extends SourceOptions {
  readonly before?: string
  readonly dryRun?: boolean
}

const FAILED = 1

/** `cellarium datastores list | transfer | check`. */
export function datastoresCommand(): Command {
  const command = new Command('datastores').description('look after the places where media are kept')
  withSource(command.command('list'))
    .description('list the datastores with what they keep')
    .option('--json', 'for programs')
    .action(async (options: ListOptions) => await withTools(options, (tools) => list(tools, options)))
  withSource(command.command('transfer <source> <target>'))
    .description('move everything from one datastore to another, beside a running server or without one')
    .option('--before <time>', 'only what was not read since: 2026-01-31, or an age: 90d, 12w, 6m, 1y')
    .option('--dry-run', 'only say how much that is')
    .action(async (source: string, target: string, options: TransferOptions) => {
      await withTools(options, (tools, signal) => transfer(tools, { source, target, ...options }, signal))
    })
  return command.addCommand(checkCommand())
}

function withSource(command: Command): Command {
  return command
    .option('-c, --config <path>', 'configuration file, or folder of files (else REPO_CONFIG)')
    .option('-d, --data <folder>', "folder of the server's own files (else CELLARIUM_DATA)")
}

async function list({ db, datastores }: Tools, { json }: ListOptions): Promise<void> {
  const rows = []
  for (const datastore of datastores.all) {
    const { id, uri, kinds } = datastore
    const used = await usageOf(db.read, `datastore:${id}`)
    const type = datastores.typeOf(datastore)
    rows.push({ id, type, uri, kinds: [...kinds], objects: used.files, bytes: used.bytes })
  }
  if (json) return console.log(JSON.stringify(rows, undefined, 2))
  const head = ['ID', 'TYPE', 'PLACE', 'TAKES', 'OBJECTS', 'BYTES']
  const lines = rows.map((row) => [
    row.id,
    row.type,
    row.uri,
    row.kinds.join(',') || '-',
    count(row.objects),
    bytes(row.bytes),
  ])
  console.log(inColumns([head, ...lines]))
}

function inColumns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

async function transfer(
  tools: Tools,
  asked: TransferOptions & { readonly source: string; readonly target: string },
  signal: AbortSignal,
): Promise<void> {
  const { source, target } = asked
  const wish = { source, target, before: asked.before === undefined ? null : before(asked.before, tools.clock.now()) }
  if (asked.dryRun) {
    refuseImpossible(tools.datastores, wish)
    const found = await estimateTransfer(tools.db, wish, signal)
    console.log(`${count(found.total_hashes_affected)} objects, ${bytes(found.total_bytes)} would be moved.`)
    return
  }
  const id = await beginTransfer(tools, commandLine(), wish)
  console.error(`Task ${id} moves what is in ${source} to ${target}.`)
  report(await watch(tools, id, signal))
}

function before(text: string, now: number): number {
  const time = timeOf(text, now)
  if (time !== undefined) return time
  throw new Refused('bad_parameter', `--before ${text}: give a date (2026-01-31) or an age (90d, 12w, 6m, 1y)`)
}

async function watch(tools: Tools, id: number, signal: AbortSignal): Promise<Task> {
  using display = new TransferDisplay(
    { isTTY: process.stdout.isTTY, write: (text) => void process.stdout.write(text) },
    () => performance.now(),
  )
  const task = await watchTask(tools, id, (shown) => showIn(display, shown), signal)
  return (await findTask(tools.db.read, id)) ?? task
}

function showIn(display: TransferDisplay, { progress, endedAt, error }: Task): void {
  display.show(progress as TransferProgress, endedAt !== null && error === '')
}

function report({ id, endedAt, error, progress }: Task): void {
  const { moved, movedBytes, skipped, failures } = progress as TransferProgress
  if (endedAt === null) {
    console.error(`Task ${id} has not ended. A server goes on with it; so does this command, if you give it again.`)
    process.exitCode = FAILED
    return
  }
  const stayed = skipped > 0 ? `, ${count(skipped)} read since` : ''
  const isNothing = error === '' && moved === 0
  console.log(isNothing ? `Nothing to move${stayed}.` : `${count(moved)} objects, ${bytes(movedBytes)} moved${stayed}.`)
  for (const failure of failures) console.error(`${failure.sha256} (${failure.location}): ${failure.error}`)
  if (error === '') return
  console.error(error)
  process.exitCode = FAILED
}
