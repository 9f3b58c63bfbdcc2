import { expect, test } from 'vitest'
import { databaseOf } from '../support/importing.ts'
import { temporaryFolder } from '../support/folder.ts'
import { watchImport, writeManyMedia } from '../support/many-media.ts'
import { startPlace } from '../support/place.ts'
import { usageOf } from '../../src/db/usage.ts'

const ROWS = 10_000

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
    const half = memory.slice(0, Math.ceil(memory.length / 2))
    expect(Math.max(...memory) - Math.max(...half)).toBeLessThan(64)
    await using db = await databaseOf(place)
    expect((await usageOf(db.read, 'user:@alice:example.org')).files).toBe(ROWS)
  },
)
