import { Command } from 'commander'
import type { Tools } from '../app/tools.ts'
import { lastTasks, type Task, unfinishedTasks } from '../db/tasks.ts'
import { Refused } from '../lib/errors.ts'
import { orderCancel, orderRetry } from '../media/task-orders.ts'
import type { SourceOptions } from './config-source.ts'
import { commandLine, withTools } from './tools.ts'

interface ListOptions extends SourceOptions {
  readonly unfinished?: boolean
  readonly limit: string
  readonly json?: boolean
}

/** `cellarium tasks list | cancel | retry`. */
export function tasksCommand(): Command {
  const command = new Command('tasks').description('look after what runs in the background because somebody asked')
  withSource(command.command('list'))
    .description('list the last tasks, oldest first')
    .option('--unfinished', 'only those that wait or run')
    .option('--limit <number>', 'most tasks to list', '100')
    .option('--json', 'for programs: one JSON object a line')
    .action(async (options: ListOptions) => await withTools(options, (tools) => list(tools, options)))
  withSource(command.command('cancel <number>'))
    .description('end a task where it is; what it has done stays done')
    .action(async (id: string, options: SourceOptions) => {
      await withTools(options, (tools) => cancel(tools, numberOf(id)))
    })
  withSource(command.command('retry <number>'))
    .description('begin a task again that went wrong or was cancelled; a server takes it up')
    .action(async (id: string, options: SourceOptions) => {
      await withTools(options, (tools) => retry(tools, numberOf(id)))
    })
  return command
}

function withSource(command: Command): Command {
  return command
    .option('-c, --config <path>', 'configuration file, or folder of files (else REPO_CONFIG)')
    .option('-d, --data <folder>', "folder of the server's own files (else CELLARIUM_DATA)")
}

function numberOf(text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new Refused('bad_parameter', `${text}: give the number of a task`)
  return Number(text)
}

async function list({ db }: Tools, { unfinished, limit, json }: ListOptions): Promise<void> {
  const most = numberOf(limit)
  const tasks = unfinished
    ? (await unfinishedTasks(db.read)).slice(-most)
    : await lastTasks(db.read, { before: null, limit: most })
  for (const task of tasks) console.log(json ? JSON.stringify(task) : lineOf(task))
}

/** `7  storage_migration  2026-01-31T10:00:00.000Z  failed: the disk is full  retry of 6` */
function lineOf({ id, name, startedAt, endedAt, cancelledAt, error, retryOf }: Task): string {
  const unfinished = cancelledAt === null ? 'unfinished' : 'to be cancelled'
  const ended = error === '' ? 'done' : error === 'cancelled' ? error : `failed: ${error}`
  const cells = [String(id), name, new Date(startedAt).toISOString(), endedAt === null ? unfinished : ended]
  if (retryOf !== null) cells.push(`retry of ${retryOf}`)
  return cells.join('  ').replaceAll(/\p{Cc}/gu, '\uFFFD')
}

async function cancel(tools: Tools, id: number): Promise<void> {
  const asked = await orderCancel(tools, commandLine(), id)
  if (!asked) throw new Refused('bad_request', `Task ${id} has ended already`)
  console.log(`Task ${id} ends where it is, as soon as whoever works on it looks.`)
}

async function retry(tools: Tools, id: number): Promise<void> {
  const again = await orderRetry(tools, commandLine(), id)
  console.log(again.isNew ? `Task ${again.id} does it again.` : `Task ${again.id} does it already.`)
}
