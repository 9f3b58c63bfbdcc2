/** What a Synapse's own configuration says of its media: `homeserver.yaml`. */
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { ClientConfig } from 'pg'
import { parse } from 'yaml'
import type { ForeignAddress } from '../foreign-database.ts'

export interface SynapseConfig {
  readonly serverName: string | undefined
  readonly database: ForeignAddress | undefined
  /** `media_store_path`, then the folders of storage providers, in the order in which Synapse looks. */
  readonly folders: readonly string[]
  /** Those of synapse-s3-storage-provider. */
  readonly buckets: readonly ProviderBucket[]
}

/** Options of synapse-s3-storage-provider. */
export interface ProviderBucket {
  readonly bucket: string
  /** Stands before each key as it is; it has a slash at its end only if it was given one. */
  readonly prefix: string
  /** Undefined: Amazon's. */
  readonly endpoint: string | undefined
  readonly region: string | undefined
  /** Undefined: those of the environment, or of the machine. */
  readonly accessKeyId: string | undefined
  readonly accessSecret: string | undefined
  readonly sessionToken: string | undefined
  /** With which every object is encrypted (SSE-C). */
  readonly customerKey: string | undefined
}

type Section = Readonly<Record<string, unknown>>

/** @throws where the file cannot be read, or is no YAML */
export async function readSynapseConfig(file: string): Promise<SynapseConfig> {
  const config = sectionOf(parse(await readFile(file, 'utf8')))
  const at = (path: string) => resolve(dirname(file), path)
  const providers = Array.isArray(config['media_storage_providers'])
    ? config['media_storage_providers'].map(sectionOf)
    : []
  const own = textIn(config, 'media_store_path')
  const others = providers.filter(isOf('file_system')).map((provider) => textIn(settingsOf(provider), 'directory'))
  return {
    serverName: textIn(config, 'server_name'),
    database: databaseOf(sectionOf(config['database']), at),
    folders: [own, ...others].filter((folder) => folder !== undefined).map(at),
    buckets: providers.filter(isOf('s3_storage_provider')).flatMap((provider) => bucketOf(settingsOf(provider))),
  }
}

const sectionOf = (value: unknown): Section => (typeof value === 'object' && value !== null ? { ...value } : {})

const settingsOf = (provider: Section) => sectionOf(provider['config'])

const isOf = (module: string) => (provider: Section) => (textIn(provider, 'module') ?? '').includes(module)

function textIn(section: Section, key: string): string | undefined {
  const value = section[key]
  return typeof value === 'string' || typeof value === 'number' ? String(value) || undefined : undefined
}

function databaseOf(section: Section, at: (path: string) => string): ForeignAddress | undefined {
  const args = sectionOf(section['args'])
  if (textIn(section, 'name') === 'sqlite3') {
    const path = textIn(args, 'database')
    return path === undefined ? undefined : { sqlite: at(path) }
  }
  return textIn(section, 'name') === 'psycopg2' ? { postgres: postgresOf(args) } : undefined
}

/** psycopg2 names them as libpq does, and `database` as well. */
function postgresOf(args: Section): ClientConfig {
  const name = textIn(args, 'dbname') ?? textIn(args, 'database')
  const [host, port, user, password] = ['host', 'port', 'user', 'password'].map((key) => textIn(args, key))
  const mode = textIn(args, 'sslmode') ?? 'disable'
  return {
    ...(name === undefined ? {} : { database: name }),
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port: Number(port) }),
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password }),
    ssl: mode.startsWith('verify') ? true : mode === 'require' ? { rejectUnauthorized: false } : false,
  }
}

function bucketOf(settings: Section): ProviderBucket[] {
  const bucket = textIn(settings, 'bucket')
  if (bucket === undefined) return []
  return [
    {
      bucket,
      prefix: textIn(settings, 'prefix') ?? '',
      endpoint: textIn(settings, 'endpoint_url'),
      region: textIn(settings, 'region_name'),
      accessKeyId: textIn(settings, 'access_key_id'),
      accessSecret: textIn(settings, 'secret_access_key'),
      sessionToken: textIn(settings, 'session_token'),
      customerKey: textIn(settings, 'sse_customer_key'),
    },
  ]
}
