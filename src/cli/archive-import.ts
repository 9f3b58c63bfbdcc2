import { createReadStream } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import type { Tools } from '../app/tools.ts'
import type { OpenedArchive } from '../app/archives.ts'
import { problemsOf } from '../db/import-problems.ts'
import type { ArchiveFile } from '../imports/archive-plan.ts'
import { importedIn, problemsIn } from '../imports/tally.ts'
import { Refused } from '../lib/errors.ts'
import { audited } from '../media/audit.ts'
import { count } from './amounts.ts'
import { fromGoFlags } from './go-flags.ts'
import { ImportDisplay } from './import-display.ts'
import { ProblemList, importSummary } from './import-report.ts'
import { commandLine, withTools } from './tools.ts'

interface ArchiveFlags {
  readonly config?: string
  readonly data?: string
  readonly directory: string
  readonly verify?: boolean
  readonly onlyEntity?: string
  readonly list?: string
}

const FAILED = 1
const PAGE = 500

/** `cellarium import archive`. */
export const importArchiveCommand = (): Command =>
  new Command('archive')
    .description('import an archive that `export` or matrix-media-repo made; again, to go on')
    .argument('<folder>', 'where its files are')
    .option('-c, --config <path>', 'configuration file, or folder of files (else REPO_CONFIG)')
    .option('-d, --data <folder>', "folder of the server's own files (else CELLARIUM_DATA)")
    .option('--only-entity <id>', 'import only what belongs to this user or server')
    .option('--verify', 'compare everything with what is here, byte by byte, and change nothing')
    .option('--list <file>', 'write the names of what could not be imported, and why, to this file')
    .action(async (directory: string, flags: Omit<ArchiveFlags, 'directory'>) => {
      await importFolder({ ...flags, directory })
    })

/** `gdpr_import` with MMR's flags. */
export function gdprImportCommand(): Command {
  const command = new Command('gdpr_import')
    .description('import an archive (MMR’s name for `import archive`, with its flags)')
    .option('--config <path>', 'file or folder (else REPO_CONFIG, else the defaults)')
    .option('--directory <folder>', "where the archive's files are", './gdpr-data')
    .option('--onlyEntity <id>', 'import only what belongs to this user or server')
    .option('--verify', 'only say what is not here')
    .option('--migrations <folder>', 'accepted and ignored: the migrations come with the program')
    .action(importFolder)
  return fromGoFlags(command)
}

async function importFolder({ directory, verify, onlyEntity, list, ...source }: ArchiveFlags): Promise<void> {
  const work = async (tools: Tools, signal: AbortSignal) => {
    await using problems = new ProblemList(list, (line) => console.log(line))
    using display = new ImportDisplay({
      output: process.stderr,
      now: () => performance.now(),
      log: tools.log,
      verb: 'imported',
    })
    const { openArchiveFiles } = await import('../app/archives.ts')
    using archive = await openArchiveFiles(tools, {
      files: await filesIn(directory),
      only: onlyEntity,
      signal,
      onProgress: (tally, rows) => display.show({ ...tally, problems: problemsIn(tally) }, rows),
      onProblem: (problem) => problems.add(problem),
    })
    if (archive.plan.index.media === 0) {
      console.log('Found zero or fewer MXC URIs to import: there is nothing to do.')
      return
    }
    try {
      await act(tools, archive, { verify: verify ?? false, problems, endLine: () => display[Symbol.dispose]() })
    } catch (error) {
      if (!signal.aborted) throw error
      display[Symbol.dispose]()
      console.error('The import was stopped; the same command goes on where it was.')
      process.exitCode = FAILED
    }
  }
  await withTools(source, work, { mayBeNew: true })
}

interface Acting {
  readonly verify: boolean
  readonly problems: ProblemList
  readonly endLine: () => void
}

async function act(tools: Tools, archive: OpenedArchive, { verify, problems, endLine }: Acting): Promise<void> {
  const { plan, source } = archive
  const tally = verify ? await archive.check() : await importAudited(tools, archive)
  if (!verify) await listProblems(tools, source, problems)
  endLine()
  problems.end('--list FILE writes all of them')
  console.log(importSummary(tally).join('\n'))
  if (plan.unnamed > 0) console.log(`${count(plan.unnamed)} files in it are none of its manifest’s, and were left.`)
  if (problemsIn(tally) > 0) process.exitCode = FAILED
  else console.log(verify ? 'All is here.' : 'All MXC URIs have been imported.')
  if (!verify) console.log('Import complete.')
}

async function importAudited(tools: Tools, archive: OpenedArchive) {
  const what = { action: 'import_media', subject: archive.source }
  const { tally } = await audited(tools, commandLine(), what, async () => {
    const tally = await archive.import()
    return { tally, affected: importedIn(tally) }
  })
  return tally
}

async function listProblems({ db }: Tools, source: string, list: ProblemList): Promise<void> {
  for (let after = { origin: '', mediaId: '' }; ;) {
    const some = await problemsOf(db.read, { source, after, limit: PAGE })
    for (const problem of some) list.add(problem)
    const last = some.at(-1)
    if (!last) return
    after = last
  }
}

/** Those in gzip; whatever else lies there is no part of an archive. */
async function filesIn(folder: string): Promise<readonly ArchiveFile[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
    throw new Refused('bad_request', `the folder ${folder} cannot be read`, { cause })
  })
  const names = entries.filter((entry) => entry.isFile()).map(({ name }) => name)
  const files: ArchiveFile[] = []
  for (const name of names.toSorted(byNumber)) {
    const path = join(folder, name)
    if (await isGzip(path)) files.push({ name, open: () => createReadStream(path) })
  }
  return files
}

const byNumber = new Intl.Collator('en', { numeric: true }).compare

async function isGzip(path: string): Promise<boolean> {
  await using file = await open(path)
  const { buffer, bytesRead } = await file.read(Buffer.alloc(2), 0, 2, 0)
  return bytesRead === 2 && buffer.readUInt16BE() === 0x1f8b
}
