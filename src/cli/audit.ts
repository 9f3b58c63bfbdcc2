import { Command } from 'commander'
import { type AuditFilter, type AuditLine, auditLines, outcomeOf } from '../db/audit.ts'
import type { Database } from '../db/connect.ts'
import { Refused } from '../lib/errors.ts'
import { count, timeOf } from './amounts.ts'
import type { SourceOptions } from './config-source.ts'
import { withTools } from './tools.ts'

interface AuditOptions extends SourceOptions {
  readonly since?: string
  readonly until?: string
  readonly by?: string
  readonly action?: string
  readonly subject?: string
  readonly limit: string
  readonly json?: boolean
}

const PAGE = 500

/** `cellarium audit`. */
export function auditCommand(): Command {
  return new Command('audit')
    .description('show what administrators did, the newest first, beside a running server or without one')
    .option('-c, --config <path>', 'configuration file, or folder of files (else REPO_CONFIG)')
    .option('-d, --data <folder>', "folder of the server's own files (else CELLARIUM_DATA)")
    .option('--since <time>', 'only what was begun then or later: 2026-01-31, or an age: 90d, 12w, 6m, 1y')
    .option('--until <time>', 'only what was begun before')
    .option('--by <user>', 'only what this user did: @alice:example.org, @sharedsecret, cli:root')
    .option('--action <name>', 'only this action, such as quarantine_media')
    .option('--subject <what>', 'only what was about this, such as mxc://example.org/abc')
    .option('--limit <number>', 'most lines to show; 0: all', '100')
    .option('--json', 'for programs: one JSON object a line')
    .action(async (options: AuditOptions) => {
      await withTools(options, async ({ db, clock }, signal) => await show(db, options, clock.now(), signal))
    })
}

async function show(
  db: Pick<Database, 'read'>,
  options: AuditOptions,
  now: number,
  signal: AbortSignal,
): Promise<void> {
  const { by = null, action = null, subject = null } = options
  const since = moment('--since', options.since, now)
  const until = moment('--until', options.until, now)
  const limit = limitOf(options.limit)
  const print = options.json ? printJson : printText
  for await (const line of lines(db, { by, action, subject, since, until }, limit)) {
    if (signal.aborted) return
    print(line)
  }
}

/** Page by page: the log may be longer than memory. */
async function* lines(
  db: Pick<Database, 'read'>,
  filter: AuditFilter,
  limit: number,
): AsyncGenerator<AuditLine, void, undefined> {
  let left = limit
  for (let before: number | null = null; left > 0;) {
    const page = await auditLines(db.read, { ...filter, before, limit: Math.min(PAGE, left) })
    yield* page
    const last = page.at(-1)
    if (!last || page.length < Math.min(PAGE, left)) return
    before = last.id
    left -= page.length
  }
}

function printJson(line: AuditLine): void {
  console.log(JSON.stringify({ ...line, outcome: outcomeOf(line) }))
}

/** `2026-01-31T10:00:00.000Z  @alice:example.org  quarantine_media  mxc://example.org/abc  2  192.0.2.7` */
function printText(line: AuditLine): void {
  const { at, by, action, subject, affected, address, details, error } = line
  const outcome = outcomeOf(line)
  const cells = [
    new Date(at).toISOString(),
    by,
    action,
    subject,
    affected === null ? '-' : count(affected),
    address ?? '-',
    ...Object.entries(details).map(([name, value]) => `${name}=${JSON.stringify(value)}`),
    ...(outcome === 'done' ? [] : [outcome === 'failed' ? `failed: ${error}` : 'without an end']),
  ]
  console.log(cells.map(printable).join('  '))
}

/** Some of it came from callers: nothing in it may move the cursor. */
const printable = (text: string) => text.replaceAll(/\p{Cc}/gu, '\uFFFD')

function moment(name: string, text: string | undefined, now: number): number | null {
  if (text === undefined) return null
  const time = timeOf(text, now)
  if (time !== undefined) return time
  throw new Refused('bad_parameter', `${name} ${text}: give a date (2026-01-31) or an age (90d, 12w, 6m, 1y)`)
}

function limitOf(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Refused('bad_parameter', `--limit ${text}: give a whole number, or 0 for all`)
  return Number(text) === 0 ? Number.POSITIVE_INFINITY : Number(text)
}
