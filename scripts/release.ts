/** What a release archive holds: the package as JavaScript, what it depends on for one platform, and that platform's Node. */
import { chmod, cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { toolNames } from '../src/cli/program.ts'
import { runProgram } from '../test/support/processes.ts'
import { noticesOf } from './notices.ts'

export const PLATFORMS = ['linux-x64', 'linux-arm64'] as const
export type Platform = (typeof PLATFORMS)[number]

const CHECKOUT = fileURLToPath(new URL('..', import.meta.url))
/** Of Node's package: what nobody needs who only runs it. */
const NOT_OF_NODE = ['include', 'share', 'CHANGELOG.md', 'README.md']

/** `npm pack` into a folder; gives the path of the package. Once for all platforms: they share the JavaScript. */
export async function packPackage(folder: string): Promise<string> {
  await runProgram({ command: ['npm', 'pack', '--pack-destination', folder], folder: CHECKOUT })
  return join(folder, `cellarium-${await ownVersion()}.tgz`)
}

/** Fills a folder with what `platform` needs; `bin/cellarium` in it then runs, wherever the folder is put. */
export async function fillFolder(folder: string, tarball: string, platform: Platform): Promise<void> {
  const lib = join(folder, 'lib')
  await mkdir(join(folder, 'bin'), { recursive: true })
  await runProgram({ command: ['tar', '-xzf', tarball, '-C', folder] })
  await rename(join(folder, 'package'), lib)
  await installDependencies(lib, platform)
  await makeLaunchers(folder, platform)
  for (const name of ['LICENSE', 'README.md', 'CHANGELOG.md', 'config.sample.yaml']) {
    await cp(join(CHECKOUT, name), join(folder, name))
  }
  await cp(join(CHECKOUT, 'docs/deploy/systemd/cellarium.service'), join(folder, 'cellarium.service'))
  await writeFile(join(folder, 'THIRD-PARTY-NOTICES.txt'), await noticesOf(join(lib, 'node_modules')))
}

/** By the lock file, so that a release holds what was tested. No scripts run: none is needed, and arm64's could not. */
async function installDependencies(lib: string, platform: Platform): Promise<void> {
  const [os = '', cpu = ''] = platform.split('-')
  await cp(join(CHECKOUT, 'package-lock.json'), join(lib, 'package-lock.json'))
  const where = [`--os=${os}`, `--cpu=${cpu}`, '--libc=glibc']
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error']
  await runProgram({ command: ['npm', 'ci', '--omit=dev', '--ignore-scripts', ...where, ...quiet], folder: lib })
  await rm(join(lib, 'package-lock.json'))
  // For another JavaScript runtime, in builds for all platforms; in Node nothing loads them (tar-stream names them).
  for (const name of await readdir(join(lib, 'node_modules'))) {
    if (name.startsWith('bare-')) await rm(join(lib, 'node_modules', name), { recursive: true })
  }
  for (const name of NOT_OF_NODE) {
    await rm(join(lib, 'node_modules', `node-${platform}`, name), { recursive: true, force: true })
  }
}

/** Programs that find the archive's own Node and nothing else, whatever the environment and by whatever link they are called. */
async function makeLaunchers(folder: string, platform: Platform): Promise<void> {
  for (const name of ['cellarium', ...toolNames]) {
    const path = join(folder, 'bin', name)
    await writeFile(path, launcher(name, platform))
    await chmod(path, 0o755)
  }
}

function launcher(name: string, platform: Platform): string {
  return `#!/bin/sh
lib=$(dirname "$(dirname "$(readlink -f "$0")")")/lib
exec "$lib/node_modules/node-${platform}/bin/node" "$lib/bin/${name}.js" "$@"
`
}

export async function ownVersion(): Promise<string> {
  const { version } = JSON.parse(await readFile(join(CHECKOUT, 'package.json'), 'utf8'))
  return String(version)
}

/** The processor that an ELF file is for; undefined for any other file. Source: elf(5), e_machine. */
export function processorOf(head: Buffer): string | undefined {
  if (head.toString('latin1', 0, 4) !== '\u007FELF') return undefined
  const machine = head.readUInt16LE(18)
  return { 62: 'x64', 183: 'arm64' }[machine] ?? `machine ${machine}`
}

/** Every file below a folder. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}
