import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { ExportTo } from '../app/exports.ts'
import type { Tools } from '../app/tools.ts'
import type { OutgoingSource } from '../exports/records.ts'
import type { SynapseStore } from '../exports/synapse-judge.ts'
import { exportedIn, problemsIn, type Tally } from '../exports/tally.ts'
import type { ExportParts } from '../exports/to-synapse.ts'
import type { SynapseConfig } from '../interop/synapse/config.ts'
import { ConfigError } from '../lib/errors.ts'
import { type Log, openLog } from '../lib/log.ts'
import { formatMxc } from '../matrix/ids.ts'
import { audited } from '../media/audit.ts'
import { count } from './amounts.ts'
import type { ExportFlags } from './export-flags.ts'
import { exportFields, exportSummary } from './export-report.ts'
import { aroundCommand, type Style, tellingMissingPassword, workersIn } from './homeserver-command.ts'
import { ImportDisplay } from './import-display.ts'
import { ProblemList } from './import-report.ts'
import { databaseOf, homeserverOf, readTheirs, USUAL_FOLDERS } from './import-request.ts'
import { commandLine, withTools } from './tools.ts'

const FAILED = 1
export const LOGGING = { logDirectory: '-', logColors: false, jsonLogs: false } as const

/** `cellarium export synapse`: everything from the command line to the report. */
export async function exportSynapse(flags: ExportFlags, style: Style): Promise<void> {
  await using logging = openLog({ ...LOGGING, logLevel: flags.debug ? 'debug' : 'info' })
  const { log } = logging
  await tellingMissingPassword(style, () =>
    withTools(flags, async (tools, signal) => {
      const theirs = flags.homeserverConfig === undefined ? undefined : await readTheirs(flags.homeserverConfig)
      const around = { ...aroundCommand(style), homeservers: tools.snapshot.homeservers }
      const { name: serverName } = homeserverOf(flags.serverName ?? theirs?.serverName, around)
      const to = await exportTo(flags, { serverName, theirs, style })
      const { ourMedia } = await import('../exports/our-media.ts')
      const isOurs = (origin: string) => tools.snapshot.homeservers.some(({ name }) => name === origin)
      const source = ourMedia({ ...tools, serverName, isOurs, localOnly: flags.localOnly ?? false })
      const noted = noting(tools, source)
      await fillSynapse({ to, source: () => source, flags, style, log, signal, main: tools.main, noted })
    }),
  )
}

/** Each run of it stands in the audit log, with how many media went there. */
const noting =
  (tools: Tools, { name }: OutgoingSource) =>
  async (work: () => Promise<Tally>): Promise<Tally> => {
    const what = { action: 'export_media', subject: name }
    const { tally } = await audited(tools, commandLine(), what, async () => {
      const done = await work()
      return { tally: done, affected: exportedIn(done) }
    })
    return tally
  }

interface Names {
  readonly serverName: string
  readonly theirs: SynapseConfig | undefined
  readonly style: Style
}

/** @throws {ConfigError} naming the option that is missing */
export async function exportTo(flags: ExportFlags, { serverName, theirs, style }: Names): Promise<ExportTo> {
  const around = aroundCommand(style)
  const folder = folderOf(flags, theirs)
  if (folder === undefined) {
    throw new ConfigError([
      "there is no folder for the files: mount Synapse's media folder (media_store_path) at /media_store, or name it with " +
        around.spell('mediaDirectory'),
    ])
  }
  return {
    serverName,
    database: await databaseOf('synapse', flags, theirs, around),
    folder: resolve(folder),
    keepsElsewhere: (theirs?.buckets.length ?? 0) > 0,
    copy: flags.copy ?? false,
  }
}

function folderOf({ mediaDirectory }: ExportFlags, theirs: SynapseConfig | undefined): string | undefined {
  const [own] = theirs?.folders ?? []
  return mediaDirectory ?? own ?? USUAL_FOLDERS.find((folder) => existsSync(folder))
}

export interface Filling {
  readonly to: ExportTo
  readonly source: (store: SynapseStore) => OutgoingSource
  readonly flags: ExportFlags
  readonly style: Style
  readonly log: Log
  readonly signal: AbortSignal
  readonly main: Pick<Tools['main'], 'thumbnails'>
  /** Writes down that it is done. */
  readonly noted: (work: () => Promise<Tally>) => Promise<Tally>
}

/** Opens the Synapse, does what the flags say, and tells what came of it. */
export async function fillSynapse(filling: Filling): Promise<void> {
  const { to, flags, style, log, signal, main, noted } = filling
  await using opened = new AsyncDisposableStack()
  const { openSynapseStore, openSynapseThumbnails } = await import('../app/exports.ts')
  const workers = workersIn(flags.workers)
  const store = await openSynapseStore(opened, to)
  const source = filling.source(store)
  log.info({ from: source.name, database: store.db.name, folder: to.folder }, 'Exporting media to Synapse')
  await using list = new ProblemList(flags.list, (line) => console.log(line))
  const display = new ImportDisplay({ output: process.stderr, now: () => performance.now(), log, verb: 'exported' })
  const parts: ExportParts = {
    store,
    workers,
    signal,
    makeThumbnails: flags.generateThumbnails
      ? openSynapseThumbnails(opened, { main, store, workers, log, signal })
      : undefined,
    onProgress: (tally, rows) => display.show({ ...tally, problems: problemsIn(tally) }, rows),
    onProblem: (problem) => list.add(problem),
    onMedia: (name, outcome) => log.debug({ mxc: formatMxc(name), outcome }, 'Media'),
  }
  try {
    const tally = await act(parts, source, flags, noted)
    display[Symbol.dispose]()
    list.end(`${aroundCommand(style).spell('list')} FILE writes all of them`)
    console.log(exportSummary(tally).join('\n'))
    tellEnd(tally, flags, log, style)
  } catch (error) {
    display[Symbol.dispose]()
    if (!signal.aborted) throw error
    console.error('The export was stopped; the same command goes on where it was.')
    process.exitCode = FAILED
  }
}

async function act(
  parts: ExportParts,
  source: OutgoingSource,
  flags: ExportFlags,
  noted: Filling['noted'],
): Promise<Tally> {
  if (flags.verify) return await (await import('../exports/check-synapse.ts')).checkSynapse(parts, source)
  const { exportToSynapse, rehearseExport } = await import('../exports/to-synapse.ts')
  return flags.dryRun ? await rehearseExport(parts, source) : await noted(() => exportToSynapse(parts, source))
}

function tellEnd(tally: Tally, flags: ExportFlags, log: Log, style: Style): void {
  const problems = problemsIn(tally)
  if (flags.verify) {
    if (problems > 0) process.exitCode = FAILED
    log.info(exportFields(tally), problems > 0 ? `${count(problems)} are not as they should be` : 'All is there')
  } else if (flags.dryRun) {
    log.info('Nothing was changed: this was a dry run')
  } else {
    log.info(exportFields(tally), 'Export completed')
    // What MMR's users look for.
    if (style === 'go') log.info("Done! If there's no warnings above, you're probably fine.")
  }
}
