/** What tests may ask for: services that are not npm packages, databases, ports, folders. `test/run.ts` starts the services. */
import { randomBytes, randomInt } from 'node:crypto'
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { describe } from 'vitest'
import { findProgram, isExecutable } from './processes.ts'

export const SERVICES = [
  'postgres',
  'redis-server',
  'synapse',
  'synadm',
  'nginx',
  'caddy',
  'apache2',
  'haproxy',
  'openssl',
  'strace',
  'mount',
  'versitygw',
  'ffmpeg',
  'pdftoppm',
  'imagemagick',
  'heif-enc',
  'cjxl',
  'clamd',
  'schemathesis',
  'curl',
  'prometheus',
  'promtool',
  'browser',
] as const
export type Service = (typeof SERVICES)[number]

/** What CI may do without: it is built with Go, which not every machine has. */
export const OPTIONAL_SERVICES: readonly Service[] = ['versitygw']

/** How a developer gets a service that is missing; printed at the end of `npm test`. */
export const HOW_TO_GET: Readonly<Record<Service, string>> = {
  postgres: 'install PostgreSQL (Debian: postgresql), or point CELLARIUM_TEST_POSTGRES at a server: postgres://…',
  'redis-server': 'install Redis (Debian: redis-server)',
  synapse:
    'python3 -m venv DIR && DIR/bin/pip install matrix-synapse[url-preview] psycopg2-binary synapse-s3-storage-provider, then CELLARIUM_TEST_SYNAPSE=DIR/bin/python',
  synadm:
    'run .ci/run once, or python3 -m venv DIR && DIR/bin/pip install synadm, then CELLARIUM_TEST_SYNADM=DIR/bin/synadm',
  nginx: 'install nginx (Debian: nginx-light)',
  caddy: 'install caddy',
  apache2: 'install Apache with mod_xsendfile (Debian: apache2, libapache2-mod-xsendfile)',
  haproxy: 'install haproxy',
  openssl: 'install openssl',
  strace: 'install strace',
  versitygw:
    'install Go and run .ci/run once, or put versitygw (github.com/versity/versitygw) into PATH, or set CELLARIUM_TEST_VERSITYGW to it',
  imagemagick: 'install ImageMagick (Debian: imagemagick)',
  'heif-enc': 'install the tools of libheif (Debian: libheif-examples)',
  cjxl: 'install the tools of libjxl (Debian: libjxl-tools)',
  clamd: 'install ClamAV’s daemon (Debian: clamav-daemon); tests bring signatures of their own',
  schemathesis:
    'run .ci/run once, or python3 -m venv DIR && DIR/bin/pip install schemathesis, then CELLARIUM_TEST_SCHEMATHESIS=DIR/bin/st',
  curl: 'install curl',
  prometheus: 'install Prometheus (Debian: prometheus)',
  promtool: 'comes with Prometheus (Debian: prometheus)',
  browser:
    'install Chromium (Debian: chromium-headless-shell, or chromium), or set CELLARIUM_TEST_BROWSER to a browser of its kind',
  ffmpeg: 'install ffmpeg',
  pdftoppm: 'install poppler-utils',
  mount: 'run the tests on Linux as root with the right to mount (CAP_SYS_ADMIN): small disks that can be filled',
}

/** The version that `.ci/run` installs; other recent ones should do. */
export const SYNAPSE_VERSION = '1.163.2'

/** What tries our own API by its document; `.ci/run` installs it. */
export const SCHEMATHESIS_VERSION = '4.32.5'

/** The administrators' client for Synapse that `.ci/run` installs. */
export const SYNADM_VERSION = '0.49.2'

/** The S3 server that `.ci/run` builds. */
export const VERSITYGW_VERSION = 'v1.8.0'

/** Address (postgres) or program (others) of a service, or undefined where it is missing. */
export function findService(service: Service, environment = process.env): string | undefined {
  if (service === 'postgres') return environment['CELLARIUM_TEST_POSTGRES'] || undefined
  if (service === 'synapse') return findSynapse(environment)
  if (service === 'synadm') return findSynadm(environment)
  if (service === 'versitygw') return findVersitygw(environment)
  if (service === 'schemathesis') return findSchemathesis(environment)
  if (service === 'browser') return findBrowser(environment)
  // What is called convert may be anything; these are its names since version 7, and before that on Debian.
  if (service === 'imagemagick') return findProgram('magick') ?? findProgram('convert-im6.q16')
  if (service === 'mount' && !mayMount()) return undefined
  // Debian keeps daemons in sbin, which is not in everybody's PATH.
  return findProgram(service) ?? findProgram(service, ['/usr/sbin', '/usr/local/sbin'])
}

/** As findService, for tests inside `describeWith`, where the service is known to be there. */
export function requireService(service: Service): string {
  const found = findService(service)
  if (!found) throw new Error(`${service} is missing: ${HOW_TO_GET[service]}`)
  return found
}

/** A suite that needs services. Where one is missing the suite is skipped, and `npm test` says so at its end. */
export function describeWith(needed: Service | readonly Service[], title: string, suite: () => void): void {
  const missing = [needed].flat().filter((service) => !findService(service))
  if (missing.length === 0) {
    describe(title, suite)
    return
  }
  const record = process.env['CELLARIUM_TEST_SKIPPED']
  if (record) appendFileSync(record, `${JSON.stringify({ title, missing })}\n`)
  describe.skip(`${title} (needs ${missing.join(', ')})`, suite)
}

export interface FreshDatabase extends AsyncDisposable {
  readonly url: string
}

/** An empty PostgreSQL database of one test file's own; dropped on dispose, whoever is still connected. */
export async function freshDatabase(): Promise<FreshDatabase> {
  const server = requireService('postgres')
  const name = `cellarium_test_${randomBytes(6).toString('hex')}`
  await runSql(server, `CREATE DATABASE ${name}`)
  const url = new URL(server)
  url.pathname = `/${name}`
  return {
    url: url.href,
    [Symbol.asyncDispose]: () => runSql(server, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`),
  }
}

/**
 * A port of 127.0.0.1 for a program that cannot listen on port 0. Below the ports that the kernel gives to outgoing
 * connections, so that none of those takes it before the program does.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = randomInt(15_000, 32_000)
    if (await canListen(port)) return port
  }
  throw new Error('none of 100 ports tried between 15000 and 32000 is free')
}

function findSynapse(environment: NodeJS.ProcessEnv): string | undefined {
  const given = environment['CELLARIUM_TEST_SYNAPSE']
  if (given) return isExecutable(given) ? given : undefined
  const programs = join(installedByCi(environment), `synapse-${SYNAPSE_VERSION}-storage`, 'bin')
  // The starter is written last: without it an installation was broken off, or is under way.
  return isExecutable(join(programs, 'synapse_homeserver')) ? join(programs, 'python') : undefined
}

function findSynadm(environment: NodeJS.ProcessEnv): string | undefined {
  const given = environment['CELLARIUM_TEST_SYNADM']
  if (given) return isExecutable(given) ? given : undefined
  const installed = join(installedByCi(environment), `synadm-${SYNADM_VERSION}`, 'bin', 'synadm')
  return isExecutable(installed) ? installed : findProgram('synadm')
}

function findVersitygw(environment: NodeJS.ProcessEnv): string | undefined {
  const given = environment['CELLARIUM_TEST_VERSITYGW']
  if (given) return isExecutable(given) ? given : undefined
  const built = join(installedByCi(environment), `versitygw-${VERSITYGW_VERSION}`, 'versitygw')
  return isExecutable(built) ? built : findProgram('versitygw')
}

function findSchemathesis(environment: NodeJS.ProcessEnv): string | undefined {
  const given = environment['CELLARIUM_TEST_SCHEMATHESIS']
  if (given) return isExecutable(given) ? given : undefined
  const folder = join(installedByCi(environment), `schemathesis-${SCHEMATHESIS_VERSION}`)
  // Without this file an installation was broken off, or is under way.
  return existsSync(join(folder, 'complete')) ? join(folder, 'bin', 'st') : findProgram('schemathesis')
}

function findBrowser(environment: NodeJS.ProcessEnv): string | undefined {
  const given = environment['CELLARIUM_TEST_BROWSER']
  if (given) return isExecutable(given) ? given : undefined
  // The first has no windows at all: the same browser, in less space.
  const names = ['chromium-headless-shell', 'chromium', 'google-chrome']
  return names.map((name) => findProgram(name)).find((found) => found !== undefined)
}

function installedByCi(environment: NodeJS.ProcessEnv): string {
  return join(environment['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'cellarium-ci')
}

const CAP_SYS_ADMIN = 1n << 21n

/** Source: capabilities(7), proc_pid_status(5). */
function mayMount(): boolean {
  if (process.platform !== 'linux') return false
  const [, effective = '0'] = /^CapEff:\s*(\w+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  return (BigInt(`0x${effective}`) & CAP_SYS_ADMIN) !== 0n
}

async function runSql(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
