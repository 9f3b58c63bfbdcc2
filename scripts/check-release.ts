/**
 * Makes the release archives and tries them: this machine's is unpacked in an empty folder and run with an empty environment; of the
 * other's, every program and library has to be for its processor. `.ci/run` does so for x64 alone, to be quick: run it without
 * arguments before a release.
 */
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { toolNames } from '../src/cli/program.ts'
import { temporaryFolder } from '../test/support/folder.ts'
import { runProgram } from '../test/support/processes.ts'
import { checkServer } from './check-server.ts'
import { filesBelow, ownVersion, type Platform, PLATFORMS, processorOf } from './release.ts'

const HEAD = 20
/** What a program gets that is started by `env -i`. */
const EMPTY = {}

await main(process.argv.slice(2))

async function main(wanted: readonly string[]): Promise<void> {
  const platforms = PLATFORMS.filter((platform) => wanted.length === 0 || wanted.includes(platform))
  await using made = await temporaryFolder()
  const script = fileURLToPath(new URL('make-release.ts', import.meta.url))
  console.log(await runProgram({ command: [process.execPath, script, made.path, ...platforms] }))
  await runProgram({ command: ['sha256sum', '--check', '--strict', 'SHA256SUMS'], folder: made.path })
  for (const platform of platforms) {
    await using unpacked = await temporaryFolder()
    const name = `cellarium-${await ownVersion()}-${platform}`
    await runProgram({ command: ['tar', '-xzf', join(made.path, `${name}.tar.gz`), '-C', unpacked.path] })
    await checkProcessor(join(unpacked.path, name), platform)
    if (platform === `${process.platform}-${process.arch}`) await checkRuns(unpacked.path, name)
  }
}

async function checkProcessor(folder: string, platform: Platform): Promise<void> {
  const found = new Map<string, string[]>()
  for (const path of await filesBelow(folder)) {
    const processor = processorOf(await headOf(path))
    if (processor) found.set(processor, [...(found.get(processor) ?? []), path])
  }
  const [, cpu = ''] = platform.split('-')
  const right = found.get(cpu) ?? []
  for (const wanted of [`node-${platform}/bin/node`, `@img/sharp-${platform}`, `@img/sharp-libvips-${platform}`]) {
    if (!right.some((path) => path.includes(wanted))) throw new Error(`${platform}: no ${wanted} for ${cpu}`)
  }
  found.delete(cpu)
  if (found.size > 0) throw new Error(`${platform} holds files for other processors: ${JSON.stringify([...found])}`)
  console.log(`${platform}: ${right.length} programs and libraries, all for ${cpu}`)
}

async function headOf(path: string): Promise<Buffer> {
  await using file = await open(path)
  const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD), 0, HEAD, 0)
  return bytesRead === HEAD ? buffer : Buffer.alloc(HEAD)
}

async function checkRuns(folder: string, name: string): Promise<void> {
  const bin = join(folder, name, 'bin')
  const programs = (await readdir(bin)).toSorted()
  const expected = ['cellarium', ...toolNames].toSorted()
  if (programs.join() !== expected.join()) throw new Error(`bin/ has ${programs.join()}, not ${expected.join()}`)
  const printed = await runProgram({ command: [join(bin, 'media_repo'), '-version'], environment: EMPTY })
  if (printed !== (await ownVersion())) throw new Error(`media_repo -version printed ${printed}`)
  await checkServer({ cellarium: [join(bin, 'cellarium')], folder, environment: EMPTY })
}
