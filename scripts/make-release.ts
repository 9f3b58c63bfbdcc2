/**
 * Makes release archives: `node scripts/make-release.ts FOLDER [PLATFORM…]`, for linux-x64 and linux-arm64 if not told. Each is
 * `cellarium-VERSION-PLATFORM.tar.gz`, which runs once it is unpacked; SHA256SUMS names them all.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { temporaryFolder } from '../test/support/folder.ts'
import { runProgram } from '../test/support/processes.ts'
import { fillFolder, ownVersion, packPackage, type Platform, PLATFORMS } from './release.ts'

await main(process.argv.slice(2))

async function main([target, ...wanted]: readonly string[]): Promise<void> {
  if (!target) throw new Error('where to? node scripts/make-release.ts FOLDER [PLATFORM…]')
  const platforms = wanted.length === 0 ? PLATFORMS : wanted.map(platformNamed)
  const out = resolve(target)
  await mkdir(out, { recursive: true })
  await using temporary = await temporaryFolder()
  const tarball = await packPackage(temporary.path)
  const sums: string[] = []
  for (const platform of platforms) {
    const name = `cellarium-${await ownVersion()}-${platform}`
    await fillFolder(join(temporary.path, name), tarball, platform)
    const archive = join(out, `${name}.tar.gz`)
    const reproducible = ['--sort=name', '--owner=0', '--group=0', '--numeric-owner', `--mtime=@${await committedAt()}`]
    await runProgram({ command: ['tar', '-czf', archive, ...reproducible, '-C', temporary.path, name] })
    sums.push(`${await hashOf(archive)}  ${name}.tar.gz\n`)
    console.log(`${archive} is written`)
  }
  await writeFile(join(out, 'SHA256SUMS'), sums.join(''))
}

function platformNamed(name: string): Platform {
  const platform = PLATFORMS.find((known) => known === name)
  if (platform) return platform
  throw new Error(`${name}: there is ${PLATFORMS.join(' and ')}`)
}

/** Seconds since 1970: the same sources make the same archive. */
async function committedAt(): Promise<string> {
  return (await runProgram({ command: ['git', 'log', '-1', '--format=%ct'] })).trim()
}

async function hashOf(file: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex')
}
