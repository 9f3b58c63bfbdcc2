import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { HomeserverConfig } from '../config/schema.ts'
import { readS3Options } from '../config/s3-options.ts'
import { GuardedDatastore } from '../datastores/guarded.ts'
import { openS3Datastore } from '../datastores/s3/s3.ts'
import { bucketBytes } from '../imports/bucket-bytes.ts'
import type { ByteSource } from '../imports/bytes.ts'
import { dendriteRecords } from '../imports/dendrite-records.ts'
import { folderBytes } from '../imports/folder-bytes.ts'
import { type HomeserverAddress, httpBytes } from '../imports/http-bytes.ts'
import type { RecordSource } from '../imports/records.ts'
import { type HomeserverNames, synapseRecords } from '../imports/synapse-records.ts'
import { checkDendriteTables, someOrigin } from '../interop/dendrite/rows.ts'
import { type ForeignAddress, type ForeignDatabase, openForeignDatabase } from '../interop/foreign-database.ts'
import type { ProviderBucket } from '../interop/synapse/config.ts'
import { someUploader, synapseTables } from '../interop/synapse/rows.ts'
import { ConfigError, messagesOf } from '../lib/errors.ts'
import { serverOf } from '../matrix/ids.ts'
import { DatastoreSizes } from '../media/choose.ts'
import { type Tools, datastoreParts } from './tools.ts'

export type HomeserverKind = 'synapse' | 'dendrite'

/** A homeserver to import from, and where its things are. */
export interface ImportFrom {
  readonly kind: HomeserverKind
  readonly homeserver: HomeserverConfig
  readonly database: ForeignAddress
  readonly folders: readonly string[]
  readonly buckets: readonly ProviderBucket[]
  readonly http: HomeserverAddress | undefined
}

/** What an import is made of, beside what it was told to do. */
export interface OpenedImport {
  readonly records: RecordSource
  readonly sources: readonly ByteSource[]
  readonly datastoreSizes: DatastoreSizes
}

/**
 * Opens the homeserver's database and the places that may have its files, in the order in which they are asked: folders, buckets, the
 * homeserver itself.
 *
 * @throws {ConfigError} where one of them cannot be opened, or is another homeserver's
 */
export async function openImport(
  parts: AsyncDisposableStack,
  tools: Tools,
  from: ImportFrom,
  signal: AbortSignal,
): Promise<OpenedImport> {
  const isOurs = (origin: string) => tools.snapshot.homeservers.some(({ name }) => name === origin)
  const { kind, database, homeserver } = from
  const records = await openRecords(parts, { kind, database, names: { serverName: homeserver.name, isOurs } })
  const folders = await Promise.all(from.folders.map((folder) => openFolder(folder)))
  const buckets = from.buckets.map((bucket) => openBucket(parts, tools, bucket))
  return {
    records,
    sources: [...folders, ...(await Promise.all(buckets)), ...(await openHttp(parts, from.http, signal))],
    datastoreSizes: new DatastoreSizes(tools),
  }
}

interface RecordsFrom {
  readonly kind: HomeserverKind
  readonly database: ForeignAddress
  readonly names: HomeserverNames
}

/**
 * Opens the homeserver's database, to read what media it has.
 *
 * @throws {ConfigError} where it cannot be opened, or is another homeserver's
 */
export async function openRecords(
  parts: AsyncDisposableStack,
  { kind, database, names }: RecordsFrom,
): Promise<RecordSource> {
  try {
    const db = parts.use(await openForeignDatabase(database))
    refuseOther(await nameInDatabase(kind, db), { serverName: names.serverName, db })
    return await (kind === 'synapse' ? synapseRecords(db, names) : dendriteRecords(db, names))
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause
    throw new ConfigError([cause instanceof Error ? cause.message : String(cause)], { cause })
  }
}

/** Whose database it is, as far as its media tell. */
async function nameInDatabase(kind: HomeserverKind, db: ForeignDatabase): Promise<string | undefined> {
  if (kind === 'synapse') {
    await synapseTables(db)
    return serverOf((await someUploader(db)) ?? '')
  }
  await checkDendriteTables(db)
  return await someOrigin(db)
}

/** Media under a wrong name would be lost to everybody who has a link to them. */
export function refuseOther(
  found: string | undefined,
  { serverName, db }: { serverName: string; db: Pick<ForeignDatabase, 'name'> },
): void {
  if (found === undefined || found === serverName) return
  throw new ConfigError([
    `the database ${db.name} is of ${found}, not of ${serverName}: give the right server name or database`,
  ])
}

/** @throws {ConfigError} where it is no folder, or not for us: every file in it would be unreadable */
export async function openFolder(folder: string): Promise<ByteSource> {
  try {
    if (!(await stat(folder)).isDirectory()) throw new Error('it is no folder')
    await access(folder, constants.R_OK | constants.X_OK)
    return folderBytes(folder)
  } catch (cause) {
    throw new ConfigError([`the media folder ${folder} cannot be read: ${messagesOf(cause).join(': ')}`], { cause })
  }
}

async function openBucket(parts: AsyncDisposableStack, tools: Tools, from: ProviderBucket): Promise<ByteSource> {
  const { bucket, endpoint, region, customerKey } = from
  const read = readS3Options({
    bucketName: bucket,
    endpoint: endpoint ?? (region === undefined ? 's3.amazonaws.com' : `s3.${region}.amazonaws.com`),
    region,
    accessKeyId: from.accessKeyId,
    accessSecret: from.accessSecret,
    sessionToken: from.sessionToken,
    tempPath: join(tools.main.repo.dataPath, 'staging'),
  })
  if ('problems' in read) {
    throw new ConfigError(read.problems.map(({ option, problem }) => `the bucket ${bucket}: ${option} ${problem}`))
  }
  const options = { ...read, ...(customerKey === undefined ? {} : { customerKey }) }
  const given = datastoreParts(tools.main, tools.clock, tools.events)
  const opened = await openS3Datastore({ id: `bucket ${bucket}`, kinds: new Set(), options }, given)
  const guarded = parts.use(new GuardedDatastore(opened, { now: given.now, onChange: () => {} }))
  try {
    await guarded.check()
  } catch (cause) {
    throw new ConfigError([`the bucket ${guarded.uri} cannot be used: ${messagesOf(cause).join(': ')}`], { cause })
  }
  // What is encrypted with a key that only the homeserver knows cannot be served from where it is.
  return bucketBytes(guarded, from.prefix, { mayAdopt: customerKey === undefined })
}

async function openHttp(
  parts: AsyncDisposableStack,
  http: HomeserverAddress | undefined,
  signal: AbortSignal,
): Promise<ByteSource[]> {
  if (!http) return []
  const { Agent } = await import('undici')
  const dispatcher = new Agent({ headersTimeout: 120_000, bodyTimeout: 120_000 })
  parts.defer(() => dispatcher.close())
  return [httpBytes(http, { dispatcher, signal })]
}
