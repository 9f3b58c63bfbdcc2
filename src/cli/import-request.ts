import { existsSync, readdirSync } from 'node:fs'
import { resolve } from 'node:path'
import type { ClientConfig } from 'pg'
import type { HomeserverKind, ImportFrom } from '../app/imports.ts'
import type { HomeserverConfig } from '../config/schema.ts'
import { parseDsn } from '../db/dsn.ts'
import type { ForeignAddress } from '../interop/foreign-database.ts'
import { type ProviderBucket, readSynapseConfig, type SynapseConfig } from '../interop/synapse/config.ts'
import { ConfigError, messagesOf } from '../lib/errors.ts'
import type { ImportFlags } from './import-flags.ts'

export interface Around {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly homeservers: readonly HomeserverConfig[]
  /** Asks for the password of the database; undefined: there is nobody to ask. */
  readonly askPassword: () => Promise<string | undefined>
  /** How the command has its options: `-mediaDirectory` or `--media-directory`. */
  readonly spell: (option: string) => string
}

/** The database's password is missing, and there is no terminal to ask for it at. */
export class PasswordMissing extends Error {
  override readonly name = 'PasswordMissing'
}

/**
 * Where everything is, from what was said, the homeserver's own configuration, and ours.
 *
 * @throws {ConfigError} naming the mount or option that is missing
 * @throws {PasswordMissing}
 */
export async function importFrom(kind: HomeserverKind, flags: ImportFlags, around: Around): Promise<ImportFrom> {
  const theirs = flags.homeserverConfig === undefined ? undefined : await readTheirs(flags.homeserverConfig)
  const homeserver = homeserverOf(flags.serverName ?? theirs?.serverName, around)
  const folders = foldersOf(flags, theirs, around)
  const buckets = bucketsOf(flags, theirs, around)
  const http = httpOf(flags, homeserver, around)
  // A check reads what is here; it is then only not told why something is not.
  if (folders.length === 0 && buckets.length === 0 && !http && !flags.verify) throw noFiles(kind, homeserver, around)
  return { kind, homeserver, database: await databaseOf(kind, flags, theirs, around), folders, buckets, http }
}

/** @throws {ConfigError} where `homeserver.yaml` cannot be read */
export async function readTheirs(file: string): Promise<SynapseConfig> {
  try {
    return await readSynapseConfig(file)
  } catch (cause) {
    throw new ConfigError([`${file} cannot be read: ${messagesOf(cause).join(': ')}`], { cause })
  }
}

/** The homeserver of this name, or the only one. */
export function homeserverOf(
  name: string | undefined,
  { homeservers, spell }: Pick<Around, 'homeservers' | 'spell'>,
): HomeserverConfig {
  const names = homeservers.map((homeserver) => homeserver.name).join(', ')
  const [only, ...others] = homeservers.filter((homeserver) => name === undefined || homeserver.name === name)
  if (only && others.length === 0) return only
  const problem =
    name === undefined
      ? `the configuration has several homeservers (${names}): say whose media these are with ${spell('serverName')}`
      : `the configuration has no homeserver ${name}, only ${names}: add it there first, or give ${spell('serverName')}`
  throw new ConfigError([problem])
}

/** Where a folder may be mounted without a word. The first is beside what MMR's tools read by default. */
export const USUAL_FOLDERS = ['./media_store', '/media_store']

function foldersOf({ mediaDirectory }: ImportFlags, theirs: SynapseConfig | undefined, { spell }: Around): string[] {
  if (mediaDirectory !== undefined) return [resolve(mediaDirectory)]
  if (!theirs)
    return USUAL_FOLDERS.filter(isFilled)
      .slice(0, 1)
      .map((folder) => resolve(folder))
  const missing = theirs.folders.filter((folder) => !existsSync(folder))
  if (missing.length === 0) return [...theirs.folders]
  const [usual] = USUAL_FOLDERS.filter(isFilled)
  if (usual !== undefined && theirs.folders.length === 1) return [resolve(usual)]
  throw new ConfigError(
    missing.map(
      (folder) =>
        `homeserver.yaml names the media folder ${folder}, which is not here: mount it there or at /media_store, ` +
        `or say where it is with ${spell('mediaDirectory')}`,
    ),
  )
}

function isFilled(folder: string): boolean {
  try {
    return readdirSync(folder).length > 0
  } catch (error) {
    // One that is there and cannot be read is not passed over: it is told when it is opened.
    return (error as NodeJS.ErrnoException).code === 'EACCES'
  }
}

function bucketsOf(
  { s3Bucket, s3Prefix = '', s3Endpoint, s3Region }: ImportFlags,
  theirs: SynapseConfig | undefined,
  { environment }: Around,
): readonly ProviderBucket[] {
  if (s3Bucket === undefined) return theirs?.buckets ?? []
  return [
    {
      bucket: s3Bucket,
      prefix: s3Prefix,
      endpoint: s3Endpoint,
      region: s3Region ?? environment['AWS_REGION'],
      // Without them the SDK looks for others: files, web identity, instance role.
      accessKeyId: environment['AWS_ACCESS_KEY_ID'],
      accessSecret: environment['AWS_SECRET_ACCESS_KEY'],
      sessionToken: environment['AWS_SESSION_TOKEN'],
      customerKey: environment['CELLARIUM_SSE_CUSTOMER_KEY'],
    },
  ]
}

function httpOf({ token, baseUrl }: ImportFlags, { csApi }: HomeserverConfig, { environment }: Around) {
  const given = token ?? environment['CELLARIUM_HOMESERVER_TOKEN']
  return given ? { baseUrl: baseUrl ?? csApi, token: given } : undefined
}

function noFiles(kind: HomeserverKind, { csApi }: HomeserverConfig, { spell }: Around): ConfigError {
  const bucket = `  - the bucket of synapse-s3-storage-provider: ${spell('s3Bucket')} and the options beside it, or ${spell('homeserverConfig')};`
  return new ConfigError([
    "there is nothing to take the homeserver's files from. Give one of these:",
    `  - its media folder (${kind === 'synapse' ? 'media_store_path' : 'media_api.base_path'}): mount it at /media_store, or name it with ${spell('mediaDirectory')};`,
    ...(kind === 'synapse' ? [bucket] : []),
    `  - an administrator's access token, to fetch them from ${csApi}: ${spell('token')}, or CELLARIUM_HOMESERVER_TOKEN.`,
  ])
}

export type DatabaseFlags = Pick<ImportFlags, 'database' | 'dbHost' | 'dbPort' | 'dbUsername' | 'dbPassword' | 'dbName'>

/** Where the homeserver's database is. */
export async function databaseOf(
  kind: HomeserverKind,
  flags: DatabaseFlags,
  theirs: SynapseConfig | undefined,
  around: Pick<Around, 'environment' | 'askPassword' | 'spell'>,
): Promise<ForeignAddress> {
  const { database, dbHost, dbPort, dbUsername, dbName } = flags
  if (database !== undefined)
    return isDsn(database) ? { postgres: dsn(database) } : { sqlite: resolve(sqliteFile(database)) }
  const isNamed = [dbHost, dbPort, dbUsername, dbName].some((given) => given !== undefined)
  if (theirs?.database && !isNamed) return theirs.database
  const postgres: ClientConfig = {
    host: dbHost ?? 'localhost',
    port: portOf(dbPort ?? '5432', around),
    user: dbUsername ?? kind,
    database: dbName ?? kind,
    password: await passwordOf(flags, around),
    // As MMR's: the homeserver's database is near.
    ssl: false,
  }
  return { postgres }
}

const isDsn = (address: string) => /^postgres(ql)?:\/\/|^\w+\s*=/.test(address)

const sqliteFile = (address: string) => address.replace(/^(file|sqlite3?):(\/\/)?/, '')

function dsn(address: string): ClientConfig {
  try {
    return parseDsn(address)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    throw new ConfigError(error.problems.map((problem) => problem.replace('database.postgres', 'the database')))
  }
}

function portOf(text: string, { spell }: Pick<Around, 'spell'>): number {
  if (/^\d{1,5}$/.test(text) && Number(text) > 0 && Number(text) < 65_536) return Number(text)
  throw new ConfigError([`${spell('dbPort')} ${text} is no port`])
}

async function passwordOf(
  { dbPassword }: DatabaseFlags,
  { environment, askPassword }: Pick<Around, 'environment' | 'askPassword'>,
): Promise<string> {
  const password = dbPassword ?? environment['PGPASSWORD'] ?? (await askPassword())
  if (password === undefined) throw new PasswordMissing('there is no password for the database')
  return password
}
