import { existsSync } from 'node:fs'
import type { HomeserverKind, ImportFrom } from '../app/imports.ts'
import type { Tools } from '../app/tools.ts'
import { problemsOf } from '../db/import-problems.ts'
import type { LookingParts } from '../imports/rehearse.ts'
import type { RecordSource } from '../imports/records.ts'
import { importedIn, problemsIn, type Tally } from '../imports/tally.ts'
import { type Log, openLog } from '../lib/log.ts'
import { audited } from '../media/audit.ts'
import { count } from './amounts.ts'
import { ImportDisplay } from './import-display.ts'
import type { ImportFlags } from './import-flags.ts'
import { importFields, ProblemList, importSummary } from './import-report.ts'
import { importFrom } from './import-request.ts'
import { aroundCommand, type Style, tellingMissingPassword, workersIn } from './homeserver-command.ts'
import { ask, isAtTerminal } from './prompt.ts'
import { commandLine, withTools } from './tools.ts'
import { allowYoungGenerationToGrow } from './young-generation.ts'

const FAILED = 1
const PAGE = 500

/** `cellarium import synapse` and its like: everything from the command line to the report. */
export async function importHomeserver(kind: HomeserverKind, flags: ImportFlags, style: Style): Promise<void> {
  allowYoungGenerationToGrow()
  if (style === 'go') await ignoreMachineId()
  await using logging = openLog({ logDirectory: '-', logColors: false, jsonLogs: false, logLevel: 'info' })
  const run = async (tools: Tools, signal: AbortSignal) => {
    const workers = workersIn(flags.workers)
    const from = await importFrom(kind, flags, {
      ...aroundCommand(style),
      homeservers: tools.snapshot.homeservers,
    })
    await work({ tools, signal, from, flags, workers, log: logging.log })
  }
  await tellingMissingPassword(style, () => withTools(style === 'go' ? withUsualFile(flags) : flags, run))
}

/** MMR reads `media-repo.yaml` where it is started. */
function withUsualFile(flags: ImportFlags): ImportFlags {
  const isNamed = flags.config !== undefined || Boolean(process.env['REPO_CONFIG'])
  return isNamed || !existsSync('media-repo.yaml') ? flags : { ...flags, config: 'media-repo.yaml' }
}

/** MMR asks for one where none is set; scripts that answer it go on working. */
async function ignoreMachineId(): Promise<void> {
  if (Number(process.env['MACHINE_ID'] ?? 0) !== 0 || !isAtTerminal()) return
  await ask('Machine ID: ')
  console.log('Machine IDs are not needed any more: this one is ignored.')
}

interface Work {
  readonly tools: Tools
  readonly signal: AbortSignal
  readonly from: ImportFrom
  readonly flags: ImportFlags
  readonly workers: number
  readonly log: Log
}

async function work({ tools, signal, from, flags, workers, log }: Work): Promise<void> {
  await using opened = new AsyncDisposableStack()
  const { openImport } = await import('../app/imports.ts')
  const { records, ...found } = await openImport(opened, tools, from, signal)
  log.info({ source: records.name, files: found.sources.map(({ name }) => name).join(', then ') }, 'Importing media')
  await using list = new ProblemList(flags.list, (line) => console.log(line))
  const display = new ImportDisplay({ output: process.stderr, now: () => performance.now(), log, verb: 'imported' })
  const parts: LookingParts = {
    ...tools,
    ...found,
    homeserver: from.homeserver,
    copy: flags.copy ?? false,
    workers,
    signal,
    onProgress: (tally, rows) => display.show({ ...tally, problems: problemsIn(tally) }, rows),
    onProblem: (problem) => list.add(problem),
  }
  try {
    await act(parts, records, { tools, flags, list, log, endLine: () => display[Symbol.dispose]() })
  } catch (error) {
    display[Symbol.dispose]()
    if (!signal.aborted) throw error
    console.error('The import was stopped; the same command goes on where it was.')
    process.exitCode = FAILED
  }
}

interface Acting {
  readonly tools: Tools
  readonly flags: ImportFlags
  readonly list: ProblemList
  readonly log: Log
  readonly endLine: () => void
}

async function act(parts: LookingParts, records: RecordSource, acting: Acting): Promise<void> {
  const { flags, list, log, endLine } = acting
  const tell = (tally: Tally) => {
    endLine()
    list.end('--list FILE writes all of them')
    console.log(importSummary(tally).join('\n'))
  }
  if (flags.verify) {
    const tally = await (await import('../imports/check.ts')).checkImport(parts, records)
    tell(tally)
    if (problemsIn(tally) > 0) process.exitCode = FAILED
    log.info(
      importFields(tally),
      problemsIn(tally) > 0 ? `${count(problemsIn(tally))} are not as they should be` : 'All is here',
    )
  } else if (flags.dryRun) {
    tell(await (await import('../imports/rehearse.ts')).rehearseImport(parts, records))
    log.info('Nothing was changed: this was a dry run')
  } else {
    const tally = await importAudited(parts, records, acting.tools)
    await listProblems(parts, records, list)
    tell(tally)
    log.info(importFields(tally), 'Import completed')
  }
}

/** Stands in the audit log, each run of it, with how many media that brought in all. */
async function importAudited(parts: LookingParts, records: RecordSource, tools: Tools): Promise<Tally> {
  const { runImport } = await import('../imports/run.ts')
  const what = { action: 'import_media', subject: records.name }
  const { tally } = await audited(tools, commandLine(), what, async () => {
    const tally = await runImport(parts, records)
    return { tally, affected: importedIn(tally) }
  })
  return tally
}

/** From the database, which has also those of runs that were broken off. */
async function listProblems({ db }: LookingParts, { name }: RecordSource, list: ProblemList): Promise<void> {
  for (let after = { origin: '', mediaId: '' }; ;) {
    const some = await problemsOf(db.read, { source: name, after, limit: PAGE })
    for (const problem of some) list.add(problem)
    const last = some.at(-1)
    if (!last) return
    after = last
  }
}
