// Makes build/kysely.js: what we use of Kysely, as one file. Run by `npm ci` (the `prepare` script), so in plain JavaScript for
// the Node that is at hand. Where the development dependencies were left out, the file passes Kysely on as it is.
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ENTRY = fileURLToPath(new URL('../src/db/kysely.ts', import.meta.url))
const BUNDLE = fileURLToPath(new URL('../build/kysely.js', import.meta.url))
const AS_IT_IS = "export * from 'kysely'\nexport { Migrator } from 'kysely/migration'\n"

const rolldown = await import('rolldown').catch(() => undefined)
await mkdir(dirname(BUNDLE), { recursive: true })
// Moved into place: a server that starts meanwhile reads the one or the other, never a half.
const temporary = `${BUNDLE}.${process.pid}`
await writeFile(temporary, rolldown ? await bundled(rolldown) : AS_IT_IS)
await rename(temporary, BUNDLE)

async function bundled({ rolldown }) {
  const bundle = await rolldown({ input: ENTRY, platform: 'node' })
  const { output } = await bundle.generate({ format: 'esm', comments: false })
  await bundle.close()
  return `/*\n${await licence()}*/\n${output[0].code}`
}

/** Kysely's licence asks to be kept with copies. */
async function licence() {
  const kysely = dirname(dirname(createRequire(import.meta.url).resolve('kysely')))
  return await readFile(join(kysely, 'LICENSE'), 'utf8')
}
