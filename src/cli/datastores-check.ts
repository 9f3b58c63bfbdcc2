import { open } from 'node:fs/promises'
import { Command } from 'commander'
import type { Tools } from '../app/tools.ts'
import { CheckNotes } from '../db/check-notes.ts'
import { datastoresInUse } from '../db/datastores-in-use.ts'
import type { Datastore } from '../datastores/datastore.ts'
import { ConfigError, messagesOf } from '../lib/errors.ts'
import { audited } from '../media/audit.ts'
import { check, type Checked, type Finding } from '../media/check.ts'
import { inBatches } from '../media/orphans.ts'
import { reasonsNotToRepair, repair, type Repaired } from '../media/repair.ts'
import { clearProgress, showProgress, summaryOf } from './check-report.ts'
import type { SourceOptions } from './config-source.ts'
import { commandLine, withTools } from './tools.ts'

export interface CheckFlags extends SourceOptions {
  readonly verify?: boolean
  readonly repair?: boolean
  readonly force?: boolean
  readonly json?: boolean
  readonly out?: string
}

/** What became of one datastore. */
export interface Outcome {
  readonly checked: Checked
  readonly uri: string
  /** Why nothing was repaired although it was asked for. */
  readonly refused: readonly string[]
  readonly repaired: Repaired | undefined
}

export interface CheckedAll {
  readonly outcomes: readonly Outcome[]
  /** Datastores that records name and that are not configured. */
  readonly unconfigured: readonly string[]
}

/** Writes one finding to the list of `--out`. */
export type ToLine = (datastore: string, finding: Finding) => string | undefined

/** Exit status when something is left as it was found. That it cannot be used at all is 2. */
const LEFT = 1

/** `cellarium datastores check`: MMR's `s3_consistency_check`, in both directions and for every type of datastore. */
export function checkCommand(): Command {
  return new Command('check')
    .description(
      'compare what is stored with the records, both ways; exit status 0: consistent, or repaired, 1: not, 2: cannot tell',
    )
    .argument('[id...]', 'datastores to check (all of them)')
    .option('-c, --config <path>', 'file or folder (else REPO_CONFIG, else the defaults)')
    .option('-d, --data <path>', "folder of the server's own files (else CELLARIUM_DATA)")
    .option('--verify', 'also read every object and compare its SHA-256')
    .option(
      '--repair',
      'delete objects without a record that are older than a day, mark what is lost or damaged, unmark what is there again',
    )
    .option('--force', 'repair even if so much was found that the database or the datastore looks like the wrong one')
    .option('--json', 'print the summary as JSON; the list of --out is one JSON object a line')
    .option('--out <file>', 'write every finding to this file: kind, datastore, location, bytes and more, by tabs')
    .action(async (ids: readonly string[], flags: CheckFlags) => {
      const toLine = flags.json ? asJson : asText
      const { outcomes, unconfigured } = await checkAll(ids, flags, toLine)
      if (flags.json) console.log(JSON.stringify({ datastores: outcomes, unconfigured }, undefined, 2))
      else console.log(summaryOf(outcomes, unconfigured).join('\n'))
      if (unconfigured.length > 0 || outcomes.some(leavesSome)) process.exitCode = LEFT
    })
}

/** Checks the datastores named, or all, one after the other; and which datastores records name that are not configured. */
export async function checkAll(ids: readonly string[], flags: CheckFlags, toLine: ToLine): Promise<CheckedAll> {
  let result: CheckedAll = { outcomes: [], unconfigured: [] }
  await withTools(flags, async (tools, signal) => {
    result = await checkEach(tools, chosen(tools, ids), flags, toLine, signal)
  })
  return result
}

async function checkEach(
  tools: Tools,
  datastores: readonly Datastore[],
  flags: CheckFlags,
  toLine: ToLine,
  signal: AbortSignal,
): Promise<CheckedAll> {
  await using list = flags.out === undefined ? undefined : await open(flags.out, 'w')
  const outcomes: Outcome[] = []
  for (const datastore of datastores) {
    await using notes = await CheckNotes.open<Finding>()
    outcomes.push(await checkOne(tools, datastore, notes, flags, signal))
    if (!list) continue
    for await (const findings of inBatches(notes.findings())) {
      const lines = findings.map((finding) => toLine(datastore.id, finding)).filter((line) => line !== undefined)
      await list.appendFile(lines.map((line) => `${line}\n`).join(''))
    }
  }
  const unconfigured = (await datastoresInUse(tools.db.read)).filter((id) => !tools.datastores.get(id))
  return { outcomes, unconfigured }
}

function chosen({ datastores }: Tools, ids: readonly string[]): readonly Datastore[] {
  const all = [...datastores.all]
  const unknown = ids.filter((id) => !all.some((datastore) => datastore.id === id))
  if (unknown.length > 0) {
    const known = all.map(({ id }) => id).join(', ')
    throw new ConfigError([`no datastore is called ${unknown.join(' or ')}; there are: ${known}`])
  }
  return ids.length === 0 ? all : all.filter(({ id }) => ids.includes(id))
}

async function checkOne(
  tools: Tools,
  datastore: Datastore,
  notes: CheckNotes<Finding>,
  flags: CheckFlags,
  signal: AbortSignal,
): Promise<Outcome> {
  const { id, uri } = datastore
  try {
    const options = { verify: flags.verify ?? false, progress: showProgress, signal }
    const checked = await check(tools, datastore, notes, options)
    const refused = flags.repair && !flags.force ? reasonsNotToRepair(checked) : []
    const repaired = flags.repair && refused.length === 0 ? await repairAudited(tools, datastore, notes) : undefined
    return { checked, uri, refused, repaired }
  } catch (cause) {
    const why = messagesOf(cause).join(': ')
    throw new ConfigError([`datastore ${id} (${uri}) could not be checked to its end: ${why}`], { cause })
  } finally {
    clearProgress()
  }
}

/** Stands in the audit log, with the number of objects that were deleted, marked or unmarked. */
async function repairAudited(tools: Tools, datastore: Datastore, notes: CheckNotes<Finding>): Promise<Repaired> {
  const what = { action: 'datastore_repair', subject: datastore.id }
  const { repaired } = await audited(tools, commandLine(), what, async () => {
    const repaired = await repair(tools, datastore, notes)
    const { dropped, markedLost, markedDamaged, unmarked } = repaired
    const tallies = [dropped, markedLost, markedDamaged, unmarked]
    return { repaired, affected: tallies.reduce((sum, { objects }) => sum + objects, 0) }
  })
  return repaired
}

/** Whether something was found that no repair took care of: by itself it does not go away. */
function leavesSome({ checked: { found }, repaired }: Outcome): boolean {
  if (repaired) return repaired.left.objects > 0
  return Object.values(found).some(({ objects }) => objects > 0)
}

function asJson(datastore: string, finding: Finding): string {
  return JSON.stringify({ datastore, ...finding })
}

function asText(datastore: string, finding: Finding): string {
  const { kind, location, size } = finding
  return [kind, datastore, location, size, ...detailsOf(finding)].join('\t')
}

function detailsOf(finding: Finding): readonly string[] {
  switch (finding.kind) {
    case 'orphan':
      return [new Date(finding.putAt).toISOString()]
    case 'lost':
      return [finding.sha256, ...finding.names]
    case 'damaged':
      return [finding.sha256, finding.problem]
    default:
      return [finding.sha256]
  }
}
