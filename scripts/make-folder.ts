/** Fills a folder as a release archive is filled, for images: `node scripts/make-folder.ts FOLDER PLATFORM`. */
import { mkdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { temporaryFolder } from '../test/support/folder.ts'
import { fillFolder, packPackage, PLATFORMS } from './release.ts'

const [target, name] = process.argv.slice(2)
const platform = PLATFORMS.find((known) => known === name)
if (!target || !platform) throw new Error(`node scripts/make-folder.ts FOLDER ${PLATFORMS.join('|')}`)
await mkdir(resolve(target), { recursive: true })
await using temporary = await temporaryFolder()
await fillFolder(resolve(target), await packPackage(temporary.path), platform)
