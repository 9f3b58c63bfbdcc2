/**
 * How fast the media of an archive are imported, and exported again, and in how much memory: `node bench/archive.ts [media]`, three millions
 * if not told. On SQLite, with a thousand contents, so that what is looked up counts and not what is copied. Not part of `npm run bench`: it
 * takes an hour.
 */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryFolder } from '../test/support/folder.ts'
import { writeManyArchived } from '../test/support/many-archived.ts'
import { watchCommand } from '../test/support/many-media.ts'
import { emptyServer, tellCourse } from './imported.ts'

const media = Number(process.argv[2] ?? 3_000_000)

await using folder = await temporaryFolder()
const archive = join(folder.path, 'archive')
await writeManyArchived(archive, media, 1000)
const { size } = await stat(join(archive, 'export-manifest.tgz'))
console.log(`an archive of ${media} media is written; its manifest has ${size} bytes, compressed`)
const configFile = await emptyServer(folder.path)
const runs = [
  ['the first time', ['import', 'archive', archive]],
  ['again, when all is here', ['import', 'archive', archive]],
  ['compared', ['import', 'archive', archive, '--verify']],
  ['exported', ['export', 'server', 'example.org', '--destination', join(folder.path, 'exported')]],
] as const
for (const [which, command] of runs) tellCourse(which, media, await watchCommand(command, configFile))
