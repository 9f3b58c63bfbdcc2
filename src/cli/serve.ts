import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { resolve } from 'node:path'
import { Command } from 'commander'
import type { App } from '../app.ts'
import type { ConfigSource } from '../config/load.ts'
import type { Snapshot } from '../config/snapshot.ts'
import { openConfigStore } from '../config/store.ts'
import { ConfigError, messagesOf, Unavailable } from '../lib/errors.ts'
import { type Log, type LogOptions, openLog } from '../lib/log.ts'
import { VERSION } from '../lib/version.ts'
import { adminToken } from './admin-token.ts'
import { configSource, reportUnusable } from './config-source.ts'
import { allowYoungGenerationToGrow } from './young-generation.ts'

interface Flags {
  readonly config?: string
  readonly data?: string
}

const DRAIN_MS = 30_000
/** Without a configuration nobody has asked for log files. */
const NO_FILES = '-'

/** `cellarium serve`: the server. Without a configuration it works all the same, for one homeserver on this machine. */
export function serveCommand(): Command {
  return new Command('serve')
    .description('start the server (the default)')
    .option('-c, --config <path>', 'configuration file, or folder of files (else REPO_CONFIG)')
    .option('-d, --data <folder>', 'folder for database, admin token and default media (else CELLARIUM_DATA, ./data)')
    .action(serve)
}

/**
 * Exit status when a database, a datastore or a port cannot be had now: unlike with a wrong configuration, whoever keeps the server running
 * (systemd, a container's engine) should start it again.
 */
const NOT_NOW = 1

/** Serves until it is told to stop. What it needs and cannot have is said, and ends it. */
export async function serve(flags: Flags): Promise<void> {
  try {
    await serveWith(flags)
  } catch (error) {
    reportUnusable(error instanceof Unavailable ? notNow(error) : error, NOT_NOW)
  }
}

/** What failed under the hands of a start: afterwards, requests and the background have their own ways to tell. */
function notNow(error: Unavailable): ConfigError {
  const why = messagesOf(error).join(': ')
  return new ConfigError([`the start needs what cannot be used now: ${why}`], { cause: error, mayPass: true })
}

async function serveWith(flags: Flags): Promise<void> {
  const source = await sourceOf(flags)
  // Another process reads the configuration; what the server is made of is loaded meanwhile.
  const loading = import('../app.ts')
  await using logging = new AsyncDisposableStack()
  await using config = await openConfigStore(source, {
    log: ({ main }) => openServerLog(logging, main.repo, source.path ? main.repo.logDirectory : NO_FILES),
  })
  const { log } = config
  const { openApp } = await loading
  await using app = await openApp(config, log, { environment: process.env })
  process.on('SIGHUP', () => void config.reload())
  allowYoungGenerationToGrow()
  log.info({ version: VERSION, homeservers: config.current().homeservers.length }, `Cellarium listens on ${urlOf(app)}`)
  if (!source.path) console.log(tryIt(app, config.current()))
  const signal = await untilToldToStop()
  log.info({ signal }, 'answering what is under way, then ending')
  await Promise.race([app.http.stop(DRAIN_MS), toldAgain(signal)])
}

/** One key press may come twice, from the terminal and from a launcher in between: what follows at once says nothing new. */
const SAME_KEY_MS = 300

async function toldAgain(signal: NodeJS.Signals): Promise<void> {
  process.on(signal, () => {})
  await delay(SAME_KEY_MS, undefined, { ref: false })
  await once(process, signal)
}

/** The log of a server, which gets its last words out even if it ends because of a defect. */
function openServerLog(logging: AsyncDisposableStack, options: LogOptions, logDirectory: string): Log {
  const opened = logging.use(openLog({ ...options, logDirectory }))
  const { log } = opened
  process.on('uncaughtExceptionMonitor', (error) => {
    log.fatal({ err: error }, 'Cellarium ends because of an error nobody foresaw')
    opened.flushSync()
  })
  return log
}

/** Where the configuration comes from. Without one, the admin token stands in for the administrators it would name. */
async function sourceOf(flags: Flags): Promise<ConfigSource> {
  const source = configSource(flags, process.env)
  return source.path ? source : { ...source, adminToken: await adminToken(source.dataPath ?? './data') }
}

function untilToldToStop(): Promise<NodeJS.Signals> {
  const { promise, resolve: stop } = Promise.withResolvers<NodeJS.Signals>()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop(signal))
  return promise
}

function urlOf({ http }: App): string {
  const host = http.address.includes(':') ? `[${http.address}]` : http.address
  return `http://${host}:${http.port}`
}

/** Three lines for whoever starts it for the first time. The token is read from its file, not shown. */
function tryIt({ http }: App, { main, homeservers }: Snapshot): string {
  const data = resolve(main.repo.dataPath)
  const name = homeservers[0]?.name ?? 'localhost'
  const host = name === 'localhost' ? '' : ` -H 'Host: ${name}'`
  const curl = `curl -s${host} -H "Authorization: Bearer $(cat '${data}/admin-token')"`
  const url = `http://localhost:${http.port}/_matrix`
  return `
Everything is kept in ${data}. Try it: upload a picture, download it, fetch a thumbnail of it.

curl -s${host} -o picture.png '${url}/media/v3/identicon/hello?width=400' && MXC=$(${curl} -H 'Content-Type: image/png' --data-binary @picture.png '${url}/media/v3/upload?filename=picture.png' | sed 's|.*mxc://\\(.*\\)".*|\\1|') && echo "mxc://$MXC"
${curl} -o downloaded.png "${url}/client/v1/media/download/$MXC" && cmp picture.png downloaded.png && echo 'downloaded.png is the same'
${curl} -o thumbnail.png "${url}/client/v1/media/thumbnail/$MXC?width=96&height=96&method=crop" && ls -l thumbnail.png
`
}
