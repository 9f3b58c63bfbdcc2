import { Command } from 'commander'
import { fromGoFlags } from './go-flags.ts'
import { dashed, databaseFlags, type Flag, type HomeserverFlags, withFlags } from './import-flags.ts'

/** What may be said of an export to Synapse, by either name of the command. */
export interface ExportFlags extends HomeserverFlags {
  readonly directory?: string
  readonly localOnly?: boolean
  readonly generateThumbnails?: boolean
  readonly debug?: boolean
}

const FLAGS: readonly Flag[] = [
  ['serverName <name>', 'server name of the homeserver (else the one of the configuration)'],
  ['homeserverConfig <file>', 'homeserver.yaml: database, media folder and server name from there'],
  ...databaseFlags('synapse'),
  ['mediaDirectory <folder>', 'its media folder (else ./media_store or /media_store, where there is one)'],
  ['workers <number>', 'files worked on at a time', '10'],
  ['localOnly', 'only its own media, no copies of other servers’'],
  ['generateThumbnails', 'make thumbnails now; else Synapse makes each when it is first asked for'],
  ['copy', 'copy files, even where a link would do'],
  ['dryRun', 'say what would be done, and change nothing'],
  ['verify', 'compare everything with what is there, byte by byte, and change nothing'],
  ['list <file>', 'write the names of what is not as it should be, and why, to this file'],
]

/** `cellarium export synapse`. */
export function exportSynapseCommand(run: (flags: ExportFlags) => Promise<void>): Command {
  const command = new Command('synapse')
    .description('put what is here into a Synapse, as if it had always been there; again, to go on or for what is new')
    .option('-c, --config <path>', 'configuration file, or folder of files (else REPO_CONFIG)')
    .option('-d, --data <folder>', "folder of the server's own files (else CELLARIUM_DATA)")
    .option('--archive <folder>', 'from the archive in this folder, instead of what is here')
  withFlags(command, FLAGS, dashed)
  return command.action(async ({ archive, ...flags }: ExportFlags & { readonly archive?: string }) => {
    await run(archive === undefined ? flags : { ...flags, directory: archive })
  })
}

/** `import_to_synapse` with MMR's flags, and those of ours in the same style. */
export function importToSynapseAlias(run: (flags: ExportFlags) => Promise<void>): Command {
  const command = new Command('import_to_synapse')
    .description('put an archive, or what is here, into a Synapse (MMR’s name for `export synapse`, with its flags)')
    .option('--directory <folder>', 'folder of the archive (./gdpr-data, if there is no -config)')
    .option('--config <path>', 'take what Cellarium has with this configuration, instead of an archive')
    .option('--debug', 'log each media')
    .option('--prettyLog', 'accepted and ignored: the log is for people to read')
  return fromGoFlags(withFlags(command, FLAGS, (name) => name).action(run))
}
