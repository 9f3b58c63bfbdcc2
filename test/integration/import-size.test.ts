import { expect, test } from 'vitest'
import { databaseOf } from '../support/importing.ts'
import { temporaryFolder } from '../support/folder.ts'
import { writeManyArchived } from '../support/many-archived.ts'
import { watchCommand, watchImport, writeManyMedia } from '../support/many-media.ts'
import { startPlace } from '../support/place.ts'
import { usageOf } from '../../src/db/usage.ts'

const ROWS = 10_000
const ARCHIVED = 50_000

/** `node bench/import.ts` does the same with a million. */
test(
  'an import of many media takes no more memory at its end than at its beginning',
  { timeout: 300_000 },
  async () => {
    await using place = await startPlace()
    await using folder = await temporaryFolder()
    const many = await writeManyMedia(folder.path, ROWS, 500)
    const { code, text, seconds, memory } = await watchImport(many, place.server.configFile)
    expect([code, text]).toEqual([0, expect.stringContaining(`records=${ROWS} imported=${ROWS}`)])
    console.log(`${Math.round(ROWS / seconds)} rows/s, ${Math.round(Math.max(...memory))} MiB at the most`)
    expect(growthOf(memory)).toBeLessThan(64)
    await using db = await databaseOf(place)
    expect((await usageOf(db.read, 'user:@alice:example.org')).files).toBe(ROWS)
  },
)

/** `node bench/archive.ts` does the same with three millions. */
test('so does that of an archive with many media, from its manifest on', { timeout: 300_000 }, async () => {
  await using place = await startPlace()
  await using folder = await temporaryFolder()
  await writeManyArchived(folder.path, ARCHIVED, 500)
  const { code, text, seconds, memory } = await watchCommand(
    ['import', 'archive', folder.path],
    place.server.configFile,
  )
  expect([code, text]).toEqual([0, expect.stringContaining('All MXC URIs have been imported.')])
  console.log(`${Math.round(ARCHIVED / seconds)} media/s, ${Math.round(Math.max(...memory))} MiB at the most`)
  expect(growthOf(memory)).toBeLessThan(64)
  await using db = await databaseOf(place)
  expect((await usageOf(db.read, 'user:@alice:example.org')).files).toBe(ARCHIVED)
})

/** In MiB, by how much the most of the second half is more than that of the first. */
function growthOf(memory: readonly number[]): number {
  const half = memory.slice(0, Math.ceil(memory.length / 2))
  return Math.max(...memory) - Math.max(...half)
}
