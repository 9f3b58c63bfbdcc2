/**
 * A real Synapse for tests: SQLite, one temporary folder, one free port; without federation and a media repository of its own,
 * if not asked for.
 */
import { createHmac, randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { startProgram, untilReady } from './processes.ts'
import { temporaryFolder } from './folder.ts'
import { freePort, requireService } from './services.ts'

export interface SynapseOptions {
  readonly serverName: string
  /** Where it listens; a free port, if not given. */
  readonly port?: number
  /** It federates: with servers that have these addresses, by host name, and certificates of this authority (a file). */
  readonly federation?: { readonly hosts: Readonly<Record<string, string>>; readonly authorityFile: string }
  /** It serves media itself. */
  readonly servesMedia?: boolean
  /** As Synapse writes sizes; it takes 50M at most, if not given. */
  readonly largestUpload?: string
  /** It leaves logins to a Matrix Authentication Service with this address and secret. */
  readonly leavesLoginsTo?: { readonly url: string; readonly secret: string }
  /** It keeps its records in this PostgreSQL database. */
  readonly postgres?: string
  /** It keeps its media in this bucket as well, by synapse-s3-storage-provider, below this prefix. */
  readonly bucket?: { readonly options: Readonly<Record<string, string>>; readonly prefix: string }
  /** It previews pages, media being its own: of servers that have these addresses, by host name. */
  readonly previews?: { readonly hosts: Readonly<Record<string, string>> }
}

export interface Registered {
  readonly userId: string
  readonly deviceId: string
  readonly accessToken: string
}

export interface Synapse extends AsyncDisposable {
  readonly serverName: string
  readonly port: number
  /** Of the process that was started last. */
  readonly pid: number
  /** Base URL of the client-server API, without a path. */
  readonly url: string
  /** `homeserver.yaml`, and where that says that media lie. */
  readonly configFile: string
  readonly mediaFolder: string
  /** Its key file. */
  readonly signingKey: string
  /** What it logged since it was last started. */
  readonly lines: readonly string[]
  /** Stops it, does some work, and starts it again. */
  readonly whileStopped: <Result>(work: () => Promise<Result>) => Promise<Result>
  /** Makes an account by the shared secret and logs it in. */
  readonly register: (name: string, password: string, options?: { admin?: boolean }) => Promise<Registered>
}

/** Starts a Synapse and waits until it answers (about five seconds). Needs `describeWith('synapse', …)`. */
export async function startSynapse(options: SynapseOptions): Promise<Synapse> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  const port = options.port ?? (await freePort())
  const secret = randomBytes(16).toString('hex')
  const configFile = await writeConfig({ folder, options, port, secret })
  const url = `http://127.0.0.1:${port}`
  const start = async () => {
    const started = await startProgram({
      command: [requireService('synapse'), '-c', PROGRAM, '--config-path', configFile],
      environment: {
        PATH: process.env['PATH'],
        PYTHONDONTWRITEBYTECODE: '1',
        HOSTS: JSON.stringify({ ...options.federation?.hosts, ...options.previews?.hosts }),
        // For what is not federation: where other servers' media repositories send it.
        ...(options.federation && { SSL_CERT_FILE: options.federation.authorityFile }),
      },
      folder,
    })
    await untilReady(started, async () => (await fetch(`${url}/health`)).ok)
    return started
  }
  let program = await start()
  cleanup.defer(() => program[Symbol.asyncDispose]())
  const owned = cleanup.move()
  return {
    serverName: options.serverName,
    port,
    get pid() {
      return program.pid
    },
    url,
    configFile,
    mediaFolder: join(folder, 'media'),
    signingKey: join(folder, 'signing.key'),
    get lines() {
      return program.lines
    },
    async whileStopped(work) {
      await program.stop('SIGTERM')
      const done = await work()
      program = await start()
      return done
    },
    register: (name, password, { admin = false } = {}) => register(url, secret, { name, password, admin }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** Synapse as it is installed, except that it finds some host names where the test says, and not where the system does. */
const PROGRAM = `
import json, os, socket
hosts, look_up = json.loads(os.environ["HOSTS"]), socket.getaddrinfo
socket.getaddrinfo = lambda host, *others, **named: look_up(hosts.get(host, host), *others, **named)
from synapse.app.homeserver import main
main()
`

interface ConfigNeeds {
  readonly folder: string
  readonly options: SynapseOptions
  readonly port: number
  readonly secret: string
}

async function writeConfig(needs: ConfigNeeds): Promise<string> {
  const { folder } = needs
  const file = join(folder, 'homeserver.yaml')
  const logging = join(folder, 'log.yaml')
  await writeFile(join(folder, 'signing.key'), `ed25519 test ${randomBytes(32).toString('base64').replace('=', '')}\n`)
  await writeFile(logging, stringify(logConfig()))
  await writeFile(file, stringify(homeserverConfig(needs, logging)))
  return file
}

function homeserverConfig({ folder, options, port, secret }: ConfigNeeds, logging: string): object {
  const { serverName, federation, previews, servesMedia = previews !== undefined, leavesLoginsTo } = options
  const unlimited = { per_second: 10_000, burst_count: 10_000 }
  const names = ['client', ...(federation ? ['federation'] : []), ...(servesMedia ? ['media'] : [])]
  return {
    server_name: serverName,
    listeners: [{ port, bind_addresses: ['127.0.0.1'], type: 'http', x_forwarded: true, resources: [{ names }] }],
    database: databaseConfig(folder, options.postgres),
    ...(options.bucket && { media_storage_providers: [providerConfig(options.bucket)] }),
    log_config: logging,
    pid_file: join(folder, 'homeserver.pid'),
    signing_key_path: join(folder, 'signing.key'),
    enable_media_repo: servesMedia,
    media_store_path: join(folder, 'media'),
    ...(options.largestUpload && { max_upload_size: options.largestUpload }),
    registration_shared_secret: secret,
    macaroon_secret_key: secret,
    form_secret: secret,
    trusted_key_servers: [],
    ...(federation
      ? // The other servers are on this machine.
        { federation_custom_ca_list: [federation.authorityFile], ip_range_blacklist: [] }
      : { federation_domain_whitelist: [] }),
    // Of nothing but this machine, so nothing need be forbidden.
    ...(previews && { url_preview_enabled: true, url_preview_ip_range_blacklist: [] }),
    report_stats: false,
    allow_guest_access: true,
    presence: { enabled: false },
    ...(leavesLoginsTo && {
      matrix_authentication_service: { enabled: true, endpoint: leavesLoginsTo.url, secret: leavesLoginsTo.secret },
      password_config: { enabled: false },
    }),
    // Passwords of tests need no protection, and the usual rounds cost a quarter of a second each.
    bcrypt_rounds: 4,
    rc_federation: { sleep_limit: 10_000, reject_limit: 10_000, concurrent: 1000 },
    rc_message: unlimited,
    rc_login: { address: unlimited, account: unlimited, failed_attempts: unlimited },
    rc_joins: { local: unlimited, remote: unlimited },
    rc_invites: { per_room: unlimited, per_user: unlimited, per_issuer: unlimited },
  }
}

function databaseConfig(folder: string, postgres: string | undefined): object {
  if (postgres === undefined) return { name: 'sqlite3', args: { database: join(folder, 'homeserver.db') } }
  const { hostname: host, port, username: user, password, pathname } = new URL(postgres)
  const args = { host, port: Number(port), user, password: decodeURIComponent(password), dbname: pathname.slice(1) }
  // Tests' databases sort by language, which Synapse does not like.
  return { name: 'psycopg2', allow_unsafe_locale: true, args }
}

/** https://github.com/matrix-org/synapse-s3-storage-provider: everything goes there before it is answered. */
function providerConfig({ options, prefix }: NonNullable<SynapseOptions['bucket']>): object {
  return {
    module: 's3_storage_provider.S3StorageProviderBackend',
    store_local: true,
    store_remote: true,
    store_synchronous: true,
    config: {
      bucket: options['bucketName'],
      prefix,
      region_name: options['region'],
      endpoint_url: `http://${options['endpoint']}`,
      access_key_id: options['accessKeyId'],
      secret_access_key: options['accessSecret'],
    },
  }
}

function logConfig(): object {
  return {
    version: 1,
    formatters: { plain: { format: '%(levelname)s %(name)s %(message)s' } },
    handlers: { console: { class: 'logging.StreamHandler', formatter: 'plain' } },
    root: { level: 'INFO', handlers: ['console'] },
    disable_existing_loggers: false,
  }
}

/** Synapse's admin API: https://element-hq.github.io/synapse/latest/admin_api/register_api.html */
async function register(
  url: string,
  secret: string,
  account: { name: string; password: string; admin: boolean },
): Promise<Registered> {
  const endpoint = `${url}/_synapse/admin/v1/register`
  const { nonce } = await readJson(await fetch(endpoint))
  const { name: username, password, admin } = account
  const parts = [nonce, username, password, admin ? 'admin' : 'notadmin']
  const mac = createHmac('sha1', secret).update(parts.join('\0')).digest('hex')
  const body = JSON.stringify({ nonce, username, password, admin, mac })
  const made = await readJson(await fetch(endpoint, { method: 'POST', body }))
  return {
    userId: String(made['user_id']),
    deviceId: String(made['device_id']),
    accessToken: String(made['access_token']),
  }
}

async function readJson(response: Response): Promise<Record<string, unknown>> {
  const text = await response.text()
  if (!response.ok) throw new Error(`Synapse answered ${response.status}: ${text}`)
  return JSON.parse(text)
}
