/**
 * How fast a Synapse's media are imported, and in how much memory: `node bench/import.ts [rows]`, a million if not told. On SQLite, by
 * links, with hashes that Synapse knows; each file has fifty names. Not part of `npm run bench`: it takes minutes.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { temporaryFolder } from '../test/support/folder.ts'
import { watchImport, writeManyMedia } from '../test/support/many-media.ts'

const rows = Number(process.argv[2] ?? 1_000_000)

await using folder = await temporaryFolder()
const many = await writeManyMedia(folder.path, rows, Math.ceil(rows / 50))
console.log(`${rows} rows are written`)
const configFile = join(folder.path, 'cellarium.yaml')
await mkdir(join(folder.path, 'data'))
await writeFile(join(folder.path, 'data', 'cellarium.sqlite'), '')
await writeFile(
  configFile,
  stringify({
    homeservers: [{ name: 'example.org', csApi: 'http://127.0.0.1:9' }],
    repo: { dataPath: join(folder.path, 'data'), logDirectory: '-' },
    datastores: [{ type: 'file', id: 'main', forKinds: ['all'], opts: { path: join(folder.path, 'media') } }],
  }),
)
for (const which of ['the first time', 'again, when all is here']) {
  const { code, text, seconds, memory } = await watchImport(many, configFile)
  const tenths = Array.from({ length: 10 }, (_, tenth) => memory[Math.floor(((tenth + 1) * memory.length) / 10) - 1])
  console.log(text.split('\n').slice(-3).join('\n'))
  console.log(`${which}: status ${code}, ${seconds.toFixed(1)} s, ${Math.round(rows / seconds)} rows/s`)
  console.log(`  MiB at each tenth: ${tenths.map((mib) => Math.round(mib ?? 0)).join(' ')}`)
}
