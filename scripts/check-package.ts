/**
 * Packs the package as it would be published, installs it in an empty folder, and runs it there: `cellarium --version`, then
 * a server that has to answer `/healthz`. The sources run as TypeScript, the package as JavaScript; only this finds what the
 * step between them lost. Run by `.ci/run`.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runProgram, startProgram, untilReady } from '../test/support/processes.ts'
import { freePort, temporaryFolder } from '../test/support/services.ts'

const CHECKOUT = fileURLToPath(new URL('..', import.meta.url))

await main()

async function main(): Promise<void> {
  await using temporary = await temporaryFolder()
  const folder = temporary.path
  const environment = administratorsEnvironment()
  const tarball = await pack(folder, environment)
  await writeFile(join(folder, 'package.json'), '{ "private": true }')
  await runProgram({ command: ['npm', 'install', '--no-audit', tarball], folder, environment })
  const cellarium = join(folder, 'node_modules', '.bin', 'cellarium')
  await checkVersion(cellarium, folder, environment)
  await checkServer(cellarium, folder, environment)
}

/** Without our node_modules in PATH: the machine's own Node has to find the one that comes with the package. */
function administratorsEnvironment(): NodeJS.ProcessEnv {
  const path = process.env['PATH']?.split(delimiter).filter((entry) => !entry.includes('node_modules'))
  return { ...process.env, PATH: path?.join(delimiter) }
}

async function pack(target: string, environment: NodeJS.ProcessEnv): Promise<string> {
  await runProgram({ command: ['npm', 'pack', '--pack-destination', target], folder: CHECKOUT, environment })
  const tarball = join(target, `cellarium-${await ownVersion()}.tgz`)
  const files = (await runProgram({ command: ['tar', '-tzf', tarball] })).split('\n')
  const unwanted = files.filter((file) => /\.test\.|\.ts$/.test(file))
  if (unwanted.length > 0) throw new Error(`the package holds files that are only for us: ${unwanted.join(', ')}`)
  console.log(`packed ${files.length} files`)
  return tarball
}

async function checkVersion(cellarium: string, folder: string, environment: NodeJS.ProcessEnv): Promise<void> {
  const printed = await runProgram({ command: [cellarium, '--version'], folder, environment })
  const version = await ownVersion()
  if (!printed.includes(version)) throw new Error(`cellarium --version printed "${printed}", not ${version}`)
  console.log(`cellarium --version: ${printed.trim()}`)
}

async function checkServer(cellarium: string, folder: string, environment: NodeJS.ProcessEnv): Promise<void> {
  const port = await freePort()
  const config = join(folder, 'cellarium.yaml')
  await writeFile(config, `repo:\n  port: ${port}\n  dataPath: ${join(folder, 'data')}\n  logDirectory: '-'\n`)
  const started = Date.now()
  await using server = await startProgram({ command: [cellarium, 'serve', '--config', config], folder, environment })
  await untilReady(server, async () => (await fetch(`http://127.0.0.1:${port}/healthz`)).status === 200, 30_000)
  console.log(`cellarium serve: healthy after ${Date.now() - started} ms`)
  const { code, signal } = await server.stop('SIGTERM')
  if (code !== 0) throw new Error(`cellarium ended with ${code ?? signal} on SIGTERM:\n${server.lines.join('\n')}`)
  console.log('cellarium serve: ended with 0 on SIGTERM')
}

async function ownVersion(): Promise<string> {
  const { version } = JSON.parse(await readFile(join(CHECKOUT, 'package.json'), 'utf8'))
  return String(version)
}
