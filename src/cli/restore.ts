import { resolve } from 'node:path'
import { Command } from 'commander'
import { loadConfig } from '../config/load.ts'
import type { Snapshot } from '../config/snapshot.ts'
import { ConfigError } from '../lib/errors.ts'
import type { RestoreReport } from '../media/backup/restore.ts'
import { count } from './amounts.ts'
import { folderBeside, isArchive, unpack } from './backup-file.ts'
import { configSource, type SourceOptions } from './config-source.ts'
import { tellingRefusals } from './tools.ts'

interface Flags extends SourceOptions {
  readonly copy?: boolean
}

const FAILED = 1

/** `cellarium restore FOLDER | FILE.tar`: puts a backup where the configuration says. */
export function restoreCommand(): Command {
  return new Command('restore')
    .description('put a backup where the configuration says; the server has to be stopped')
    .argument('<backup>', 'the folder, or the file that ends in .tar')
    .option('-c, --config <path>', 'configuration file, or folder of files (else REPO_CONFIG)')
    .option('-d, --data <folder>', "folder of the server's own files (else CELLARIUM_DATA)")
    .option('--copy', 'copy files that could be hard links, because they are on the same disk')
    .action((backup: string, flags: Flags) => tellingRefusals((signal) => restore(backup, flags, signal)))
}

async function restore(backup: string, flags: Flags, signal: AbortSignal): Promise<void> {
  const snapshot = await loadConfig(configSource(flags, process.env))
  const { database } = snapshot.main
  if (database.postgres !== '') {
    throw new ConfigError(['database.postgres is set: restore PostgreSQL with pg_restore, after the datastores'])
  }
  if (!isArchive(backup)) {
    await restoreFrom(backup, snapshot, flags, signal)
    return
  }
  // Beside the database rather than the archive, which may be on a disk that is only read.
  await using folder = await folderBeside(database.sqlite)
  await unpack(backup, folder.path)
  await restoreFrom(folder.path, snapshot, flags, signal)
}

async function restoreFrom(
  backup: string,
  { main, datastores }: Snapshot,
  { copy }: Flags,
  signal: AbortSignal,
): Promise<void> {
  const { restoreBackup } = await import('../media/backup/restore.ts')
  const folders = datastores
    .filter(({ type }) => type === 'file')
    .map(({ id, opts }) => [id, resolve(opts['path'] ?? '')] as const)
  const report = await restoreBackup({
    backup: resolve(backup),
    database: main.database.sqlite,
    folders: new Map(folders),
    links: !copy,
    signal,
  })
  for (const line of linesOf(report)) console.log(line)
}

function linesOf({ kept, linked, copied, missing, manifest }: RestoreReport): string[] {
  const lines = [
    `Restored what was backed up at ${manifest.madeAt}: ${count(copied)} objects copied, ${count(linked)} linked, ` +
      `${count(kept)} were there.`,
  ]
  if (missing > 0) lines.push(`${count(missing)} are not in the backup: cellarium datastores check names them.`)
  return lines
}

/** Says what a look at every byte of a backup came to; status 1 where something is wrong. */
export async function reportVerified(backup: string, signal: AbortSignal): Promise<void> {
  const { verifyBackup } = await import('../media/backup/verify.ts')
  const { right, wrong } = await verifyBackup(backup, signal)
  console.log(`${count(right)} objects are what their hashes say, ${count(wrong.length)} are not.`)
  for (const path of wrong) console.error(`missing or damaged: ${path}`)
  if (wrong.length > 0) process.exitCode = FAILED
}
