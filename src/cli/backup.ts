import { Command } from 'commander'
import type { Tools } from '../app/tools.ts'
import { ConfigError } from '../lib/errors.ts'
import { VERSION } from '../lib/version.ts'
import type { BackupReport } from '../media/backup/make.ts'
import { bytes, count } from './amounts.ts'
import { folderBeside, isArchive, pack } from './backup-file.ts'
import { reportVerified } from './restore.ts'
import type { SourceOptions } from './config-source.ts'
import { withTools } from './tools.ts'

interface Flags extends SourceOptions {
  readonly copy?: boolean
  readonly verify?: boolean
}

/** `cellarium backup FOLDER | FILE.tar`: database and folders, while the server runs. */
export function backupCommand(): Command {
  return new Command('backup')
    .description('copy database and folders while the server runs; run it again to bring the copy up to date')
    .argument('<target>', 'a folder, or one file that ends in .tar')
    .option('-c, --config <path>', 'configuration file, or folder of files (else REPO_CONFIG)')
    .option('-d, --data <folder>', "folder of the server's own files (else CELLARIUM_DATA)")
    .option('--copy', 'copy files that could be hard links, because they are on the same disk')
    .option('--verify', 'read everything in the backup and compare it with its hashes')
    .action(async (target: string, flags: Flags) => {
      await withTools(flags, async (tools, signal) => {
        refusePostgres(tools)
        await backUp(tools, target, flags, signal)
      })
    })
}

async function backUp(tools: Tools, target: string, flags: Flags, signal: AbortSignal): Promise<void> {
  if (!isArchive(target)) {
    await backUpTo(tools, target, flags, signal)
    return
  }
  // Links beside the archive where the disk is the same; tar reads through them.
  await using folder = await folderBeside(target)
  await backUpTo(tools, folder.path, flags, signal)
  await pack(folder.path, target)
  console.log(`${target} is written.`)
}

async function backUpTo(tools: Tools, folder: string, { copy, verify }: Flags, signal: AbortSignal): Promise<void> {
  const { makeBackup } = await import('../media/backup/make.ts')
  const database = tools.main.database.sqlite
  const report = await makeBackup(tools, { database, folder, version: VERSION, links: !copy, signal })
  for (const line of linesOf(report)) console.log(line)
  if (verify) await reportVerified(folder, signal)
}

/** What is on PostgreSQL has its own tool. The database comes first: everything that it names is in the files after it. */
function refusePostgres({ db, main, datastores }: Tools): void {
  if (db.engine === 'sqlite') return
  const places = [...datastores.all].map(({ id, uri }) => `   ${id}: ${uri}`)
  throw new ConfigError([
    'The records are in PostgreSQL, which is backed up with its own tool. In this order, while Cellarium runs:',
    '1. pg_dump --format=custom --file=cellarium.dump "$DATABASE" (database.postgres of the configuration)',
    '2. then the datastores: objects never change, so whatever the dump names is in a copy made after it (rsync, rclone)',
    ...places,
    `3. and the configuration, with ${main.repo.dataPath}. To restore: datastores first, then pg_restore, then start`,
  ])
}

function linesOf({ kept, linked, copied, missing, pruned, datastores, bytes: size }: BackupReport): string[] {
  const lines = [
    `${count(kept + linked + copied)} objects: ${count(copied)} copied, ${count(linked)} linked (${bytes(size)}), ` +
      `${count(kept)} were there. ${count(pruned)} that nothing names any more are gone from the backup.`,
  ]
  if (missing > 0)
    lines.push(`${count(missing)} were lost, or deleted while the backup was made; it does not have them.`)
  const outside = datastores.filter(({ included }) => !included)
  for (const { id, type, uri } of outside) {
    lines.push(`Not in the backup: ${id} (${type} ${uri}). Copy it with its own tool, after this.`)
  }
  return lines
}
