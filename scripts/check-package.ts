/**
 * Packs the package as it would be published, installs it in an empty folder, and runs it there: `cellarium --version`, then
 * a server that has to be healthy, take a picture and make a thumbnail of it (by its worker processes, whose files it finds by
 * name). The sources run as TypeScript, the package as JavaScript; only this finds what the step between them lost. Run by
 * `.ci/run`.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runProgram } from '../test/support/processes.ts'
import { temporaryFolder } from '../test/support/folder.ts'
import { toolNames } from '../src/cli/program.ts'
import { checkServer } from './check-server.ts'

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
  await checkKeys(folder, environment)
  await checkTools(folder, environment)
  await checkServer({ cellarium: [cellarium], folder, environment })
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

/** As matrix-docker-ansible-deploy calls it: by its bare name, without a configuration. */
async function checkKeys(folder: string, environment: NodeJS.ProcessEnv): Promise<void> {
  const bin = join(folder, 'node_modules', '.bin')
  await runProgram({ command: [join(bin, 'generate_signing_key'), '-output', 'one.key'], folder, environment })
  const combine = [join(bin, 'combine_signing_keys'), '-format', 'synapse', '-output', 'merged.key', 'one.key']
  const printed = await runProgram({ command: combine, folder, environment })
  if (!/^ed25519 \w{6} \S{43}$/.test(await readFile(join(folder, 'merged.key'), 'utf8'))) {
    throw new Error(`combine_signing_keys wrote no key; it printed ${printed}`)
  }
  console.log('generate_signing_key, combine_signing_keys: wrote a key')
}

/** Every name of MMR's starts, as JavaScript, by its bare name. */
async function checkTools(folder: string, environment: NodeJS.ProcessEnv): Promise<void> {
  for (const name of toolNames) {
    const command = [join(folder, 'node_modules', '.bin', name), '-help']
    const printed = await runProgram({ command, folder, environment })
    if (!printed.includes(`Usage: cellarium ${name}`)) throw new Error(`${name} -help printed ${printed}`)
  }
  console.log(`${toolNames.join(', ')}: start`)
}

async function ownVersion(): Promise<string> {
  const { version } = JSON.parse(await readFile(join(CHECKOUT, 'package.json'), 'utf8'))
  return String(version)
}
