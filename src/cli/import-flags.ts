import { Command } from 'commander'
import type { HomeserverKind } from '../app/imports.ts'
import { fromGoFlags } from './go-flags.ts'

/** Which homeserver media move to or from, where its things are, and how to go about it. */
export interface HomeserverFlags {
  readonly config?: string
  readonly data?: string
  readonly serverName?: string
  readonly homeserverConfig?: string
  readonly database?: string
  readonly dbHost?: string
  readonly dbPort?: string
  readonly dbUsername?: string
  readonly dbPassword?: string
  readonly dbName?: string
  readonly mediaDirectory?: string
  readonly workers: string
  readonly copy?: boolean
  readonly dryRun?: boolean
  readonly verify?: boolean
  readonly list?: string
}

/** What may be said of an import, by either name of the command. */
export interface ImportFlags extends HomeserverFlags {
  readonly s3Bucket?: string
  readonly s3Prefix?: string
  readonly s3Endpoint?: string
  readonly s3Region?: string
  readonly baseUrl?: string
  readonly token?: string
}

/** `mediaDirectory <folder>`, what it is, and what is taken if it is not given. */
export type Flag = readonly [name: string, description: string, usual?: string]

/** Where a homeserver's database is; it goes with `HomeserverFlags`. */
export const databaseFlags = (kind: HomeserverKind): readonly Flag[] => [
  ['database <address>', 'its database: postgres://… or a file of SQLite; or, one by one:'],
  ['dbHost <host>', 'host of its PostgreSQL database (localhost)'],
  ['dbPort <port>', 'port (5432)'],
  ['dbUsername <name>', `user (${kind})`],
  ['dbPassword <password>', 'password (else PGPASSWORD, else you are asked)'],
  ['dbName <name>', `database (${kind})`],
]

const flagsFor = (kind: HomeserverKind): readonly Flag[] => [
  ['serverName <name>', 'server name of the homeserver (else the one of the configuration)'],
  ...databaseFlags(kind),
  ['mediaDirectory <folder>', 'its media folder (else ./media_store or /media_store, where there is one)'],
  ...(kind === 'synapse'
    ? ([
        ['homeserverConfig <file>', 'homeserver.yaml: database, media folder, buckets and server name from there'],
        ['s3Bucket <name>', 'bucket of synapse-s3-storage-provider; keys as AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY'],
        ['s3Prefix <prefix>', 'what stands before each key there, as the provider has it'],
        ['s3Endpoint <address>', "address of the bucket's service (else Amazon's)"],
        ['s3Region <region>', 'region of the bucket'],
      ] as const)
    : []),
  ['baseUrl <address>', 'address of the homeserver (else csApi of the configuration)'],
  ['token <token>', "an administrator's access token, to fetch files from it (else CELLARIUM_HOMESERVER_TOKEN)"],
  ['workers <number>', 'files worked on at a time', '10'],
  ['copy', 'copy files, even where a link would do'],
  ['dryRun', 'say what would be imported, and change nothing'],
  ['verify', 'compare everything with what is here, byte by byte, and change nothing'],
  ['list <file>', 'write the names of what could not be imported, and why, to this file'],
]

/** `cellarium import synapse`, `cellarium import dendrite`. */
export function importCommand(kind: HomeserverKind, run: (flags: ImportFlags) => Promise<void>): Command {
  const command = new Command(kind)
    .description(`import the media of a ${nameOf[kind]}, which may be running; again, to go on or for what is new`)
    .option('-c, --config <path>', 'configuration file, or folder of files (else REPO_CONFIG)')
    .option('-d, --data <folder>', "folder of the server's own files (else CELLARIUM_DATA)")
  return withFlags(command, flagsFor(kind), dashed).action(run)
}

/** `import_synapse` and `import_dendrite` with MMR's flags, and those of ours in the same style. */
export function importAlias(kind: HomeserverKind, run: (flags: ImportFlags) => Promise<void>): Command {
  const command = new Command(`import_${kind}`)
    .description(`import the media of a ${nameOf[kind]} (MMR’s name for \`import ${kind}\`, with its flags)`)
    .option('--config <path>', 'file or folder (else REPO_CONFIG, else media-repo.yaml where there is one)')
    .option('--migrations <folder>', 'accepted and ignored: the migrations come with the program')
  return fromGoFlags(withFlags(command, flagsFor(kind), (name) => name).action(run))
}

const nameOf: Readonly<Record<HomeserverKind, string>> = { synapse: 'Synapse', dendrite: 'Dendrite' }

/** `spell`: how the command writes its options. */
export function withFlags(command: Command, flags: readonly Flag[], spell: (name: string) => string): Command {
  for (const [flag, description, usual] of flags) command.option(`--${spell(flag)}`, description, usual)
  return command
}

/** `dbHost <host>` as `db-host <host>`. */
export const dashed = (flag: string) => flag.replaceAll(/(?<=^\w*)[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
