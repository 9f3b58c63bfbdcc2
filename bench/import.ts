/**
 * How fast a Synapse's media are imported, and in how much memory: `node bench/import.ts [rows]`, a million if not told. On SQLite, by
 * links, with hashes that Synapse knows; each file has fifty names. Not part of `npm run bench`: it takes minutes.
 */
import { temporaryFolder } from '../test/support/folder.ts'
import { watchImport, writeManyMedia } from '../test/support/many-media.ts'
import { emptyServer, tellCourse } from './imported.ts'

const rows = Number(process.argv[2] ?? 1_000_000)

await using folder = await temporaryFolder()
const many = await writeManyMedia(folder.path, rows, Math.ceil(rows / 50))
console.log(`${rows} rows are written`)
const configFile = await emptyServer(folder.path)
for (const which of ['the first time', 'again, when all is here']) {
  tellCourse(which, rows, await watchImport(many, configFile))
}
