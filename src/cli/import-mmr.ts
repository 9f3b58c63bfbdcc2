import { setTimeout as pause } from 'node:timers/promises'
import { Command } from 'commander'
import type { Tools } from '../app/tools.ts'
import type { Lease } from '../db/leases.ts'
import { openSource, sourceName } from '../db/mmr/source.ts'
import { findTakeOver, HERE, MMR_TAKE_OVER } from '../db/mmr/state.ts'
import { findMmr, type FoundMmr } from '../db/mmr/tables.ts'
import { addTask } from '../db/tasks.ts'
import { withLease } from '../db/with-lease.ts'
import { Refused } from '../lib/errors.ts'
import { audited } from '../media/audit.ts'
import { finishTakeOver } from '../media/mmr/finish.ts'
import type { ReadingRules } from '../media/mmr/records.ts'
import { begin, findUsableMmr, goOn, type Source } from '../media/mmr/take-over.ts'
import { verifyTakeOver } from '../media/mmr/verify.ts'
import { leaseOf } from '../tasks/run-task.ts'
import { count } from './amounts.ts'
import type { SourceOptions } from './config-source.ts'
import { listProblems, listUploaded, showStatus, showVerified, TakeOverDisplay } from './import-mmr-report.ts'
import { commandLine, withTools } from './tools.ts'
import { watchTask } from './watch-task.ts'
import { allowYoungGenerationToGrow } from './young-generation.ts'

interface ImportOptions extends SourceOptions {
  readonly database?: string
  readonly status?: boolean
  readonly uploaded?: boolean
  readonly verify?: boolean
  readonly finish?: boolean
  readonly anyway?: boolean
  readonly json?: boolean
}

const FAILED = 1
/** How long nobody goes on with what somebody died over, in ms. */
const LEASE_MS = 5000
const LOOK_MS = 500

/** `cellarium import mmr`: takes over from matrix-media-repo, and looks after that. */
export function importMmrCommand(): Command {
  return new Command('mmr')
    .description(
      'take over from matrix-media-repo: bring its records here, or what it changed since; files stay where they are. ' +
        'A server on its database does that by itself',
    )
    .option('-c, --config <path>', 'configuration file, or folder of files (else REPO_CONFIG)')
    .option('-d, --data <folder>', "folder of the server's own files (else CELLARIUM_DATA)")
    .option('--database <url>', "matrix-media-repo's PostgreSQL database, where it is not ours")
    .option('--status', 'only say how far it is, and how the two differ')
    .option('--uploaded', 'only list what was uploaded here and matrix-media-repo would not see')
    .option('--verify', 'compare all records, and look for every file')
    .option('--finish', 'end it: what only matrix-media-repo names is deleted, and it cannot be started again')
    .option('--anyway', 'finish although not everything is here')
    .option('--json', 'for programs')
    .action(async (options: ImportOptions) => {
      allowYoungGenerationToGrow()
      const mayBeNew = options.database !== undefined
      await withTools(options, (tools, signal) => run(tools, options, signal), { mayBeNew })
    })
}

async function run(tools: Tools, options: ImportOptions, signal: AbortSignal): Promise<void> {
  if (options.status) return await showStatus(tools.db, options.json ?? false)
  if (options.uploaded) return await listUploaded(tools.db)
  if (options.finish) {
    if (options.anyway) await beginUnlessBegun(tools)
    const what = {
      action: 'finish_take_over',
      subject: 'matrix-media-repo',
      details: { anyway: options.anyway ?? false },
    }
    const { affected } = await audited(tools, commandLine(), what, async () => ({
      affected: await finishTakeOver(tools, { anyway: options.anyway ?? false, signal }),
    }))
    console.log(`Finished. ${count(affected)} files that only matrix-media-repo named are deleted in ten minutes.`)
    console.log('Its tables are untouched; nothing here looks at them any more.')
    return
  }
  const rules = await rulesOf(tools)
  await withSource(tools, options.database, async (source) => {
    if (options.verify) return await verify(tools, source, rules, signal)
    if (source.name === HERE) return await copyHere(tools, source, signal)
    await copyFromElsewhere(tools, source, rules, signal)
  })
}

/** Tables of a version that no server takes over from are not wanted any more either. */
async function beginUnlessBegun(tools: Tools): Promise<void> {
  const { db } = tools
  if (db.engine !== 'postgres' || (await findTakeOver(db.read))) return
  const found = await findMmr(db.read)
  if (found) await begin(tools, { name: HERE, tables: tablesOf(db.read, found) })
}

/** Loaded here: the thumbnails' names are known to the server's own parts. */
async function rulesOf({ snapshot }: Tools): Promise<ReadingRules> {
  const { readingRules } = await import('../app/mmr.ts')
  return readingRules(snapshot)
}

async function withSource(
  { db, main }: Tools,
  dsn: string | undefined,
  work: (source: Source) => Promise<void>,
): Promise<void> {
  const ours = main.database.postgres
  const isHere = dsn === undefined || (ours !== '' && sourceName(dsn) === sourceName(ours))
  if (dsn === undefined && db.engine === 'sqlite') {
    throw new Refused('bad_request', "Say where matrix-media-repo's database is: --database postgres://…")
  }
  await using source = openSource(isHere ? ours : dsn)
  const found = await findUsableMmr(source.db)
  if (!found) throw noTables(isHere ? 'the database' : sourceName(dsn))
  await work({ name: isHere ? HERE : sourceName(dsn), tables: tablesOf(source.db, found) })
}

const tablesOf = (db: Source['tables']['db'], { schema }: FoundMmr) => ({ db, schema })

const noTables = (where: string) =>
  new Refused('not_found', `There are no tables of matrix-media-repo in ${where} (media, thumbnails, gomigrate)`)

/** A server does it, or, where none runs, this command. */
async function copyHere(tools: Tools, source: Source, signal: AbortSignal): Promise<void> {
  const stands = await begin(tools, source)
  if (stands.state === 'finished' || stands.state === 'finishing') {
    console.log('It is finished: nothing is taken over from these tables any more.')
    return
  }
  const task = { name: MMR_TAKE_OVER, params: {}, progress: {}, startedAt: tools.clock.now(), sameAs: {} }
  const { id } = await tools.db.write(addTask, task)
  tools.notifier.notify('tasks', String(id))
  {
    using display = new TakeOverDisplay()
    const ended = await watchTask(tools, id, ({ progress }) => display.show(progress), signal)
    if (ended.error !== '') throw new Refused('bad_request', ended.error)
  }
  await sayHowItEnded(tools, signal)
}

async function copyFromElsewhere(
  tools: Tools,
  source: Source,
  rules: ReadingRules,
  signal: AbortSignal,
): Promise<void> {
  await begin(tools, source)
  {
    using display = new TakeOverDisplay()
    const onProgress = (progress: object) => display.show(progress)
    const work = async (lease: Lease, held: AbortSignal) =>
      await goOn(tools, source.tables, rules, { lease, signal: held, onProgress }).catch((error: unknown) => {
        if (!signal.aborted) throw error
      })
    const asked = { ms: LEASE_MS, signal }
    const take = () => withLease(tools, leaseOf(MMR_TAKE_OVER), asked, work)
    let leased = await take()
    // Whoever had it may have died over it.
    for (let waited = 0; leased.outcome === 'busy' && waited < 2 * LEASE_MS; waited += LOOK_MS) {
      await pause(LOOK_MS)
      leased = await take()
    }
    if (leased.outcome === 'busy') throw new Refused('bad_request', 'Somebody else is at it just now: see --status')
  }
  await sayHowItEnded(tools, signal)
}

async function sayHowItEnded({ db }: Tools, signal: AbortSignal): Promise<void> {
  const stands = await findTakeOver(db.read)
  if (signal.aborted || stands?.state !== 'copied') {
    console.error('It has not ended: give the command again, and it goes on from here.')
    process.exitCode = FAILED
  }
  await showStatus(db, false)
  await listProblems(db)
}

async function verify(tools: Tools, source: Source, rules: ReadingRules, signal: AbortSignal): Promise<void> {
  const stands = await findTakeOver(tools.db.read)
  if (stands?.source !== source.name) throw new Refused('bad_request', `Nothing was taken over from ${source.name} yet`)
  const verified = await showVerified(source.tables, (onProgress) =>
    verifyTakeOver(tools, source.tables, rules, { signal, onProgress }),
  )
  await listProblems(tools.db)
  if (verified.lost + verified.differs + verified.unusable > 0) process.exitCode = FAILED
}
