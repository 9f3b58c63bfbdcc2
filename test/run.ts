/**
 * What `npm test` runs: starts the services that are to be had, runs vitest with the arguments given, ends the services, and
 * says which suites were skipped for want of which service. In CI (CI=true) a skipped suite is a failure.
 */
import { chmod, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { startPostgres } from './support/postgres.ts'
import { startProgram } from './support/processes.ts'
import { temporaryFolder } from './support/folder.ts'
import { findService, HOW_TO_GET, OPTIONAL_SERVICES, SERVICES, type Service } from './support/services.ts'

interface Skipped {
  readonly title: string
  readonly missing: readonly Service[]
}

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  // Searchable, not readable: some services run as another user, in a folder of their own below this one.
  await chmod(folder, 0o711)
  const record = join(folder, 'skipped')
  const stopped = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopped.abort(signal))

  const postgres = await providePostgres(cleanup)
  announce(postgres)
  if (stopped.signal.aborted) return 1
  const given = {
    CELLARIUM_TEST_POSTGRES: postgres,
    CELLARIUM_TEST_SKIPPED: record,
    // Tests that are broken off leave their folders; below ours they go with it.
    TMPDIR: folder,
  }
  const code = await runVitest(args, given, stopped.signal)
  const skipped = await readSkipped(record)
  report(skipped)
  return code === 0 && skipped.some(isNeeded) && inCi() ? 1 : code
}

async function providePostgres(cleanup: AsyncDisposableStack): Promise<string | undefined> {
  const given = findService('postgres')
  if (given) return given
  const server = await startPostgres()
  if (server) cleanup.use(server)
  return server?.url
}

function announce(postgres: string | undefined): void {
  const found = SERVICES.filter((service) => (service === 'postgres' ? postgres : findService(service)))
  console.log(`Services for this run: ${found.join(', ') || 'none'}`)
}

async function runVitest(args: readonly string[], more: NodeJS.ProcessEnv, stopped: AbortSignal): Promise<number> {
  const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs')
  await using run = await startProgram({
    command: [process.execPath, vitest, 'run', ...args],
    environment: { ...process.env, ...more },
    output: 'inherit',
  })
  stopped.addEventListener('abort', () => run.signal('SIGTERM'))
  const { code } = await run.ended
  return code ?? 1
}

async function readSkipped(record: string): Promise<Skipped[]> {
  const text = await readFile(record, 'utf8').catch(() => '')
  const lines = text.split('\n').filter(Boolean)
  return lines.map((line): Skipped => JSON.parse(line))
}

function report(skipped: readonly Skipped[]): void {
  for (const service of SERVICES) {
    const titles = skipped.filter(({ missing }) => missing.includes(service)).map(({ title }) => title)
    if (titles.length === 0) continue
    console.log(
      `\nSkipped for want of ${service}: ${[...new Set(titles)].join('; ')}\n  To run them: ${HOW_TO_GET[service]}`,
    )
  }
  if (skipped.some(isNeeded) && inCi())
    console.error(`\nIn CI nothing but ${OPTIONAL_SERVICES.join(', ')} may be missing.`)
}

function isNeeded({ missing }: Skipped): boolean {
  return missing.some((service) => !OPTIONAL_SERVICES.includes(service))
}

function inCi(): boolean {
  return ['true', '1'].includes(process.env['CI'] ?? '')
}
