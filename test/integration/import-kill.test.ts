import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { openDatabase } from '../../src/db/connect.ts'
import { usageOf } from '../../src/db/usage.ts'
import { temporaryFolder } from '../support/folder.ts'
import { openHomeserverDatabase } from '../support/homeserver-database.ts'
import { countsIn, importInto, startCommand } from '../support/importing.ts'
import { recordingLog } from '../support/log.ts'
import { startPlace } from '../support/place.ts'
import { describeWith, freshDatabase } from '../support/services.ts'
import { synapseStore } from '../support/synapse-store.ts'

const KILLS = 4

describe('An import of a Synapse that is killed as often as it is', () => {
  test('is all there in the end on SQLite', { timeout: 240_000 }, () => killed('sqlite'))
})

describeWith('postgres', 'An import of a Synapse that is killed as often as it is', () => {
  test('is all there in the end on PostgreSQL', { timeout: 240_000 }, () => killed('postgres'))
})

async function killed(engine: 'sqlite' | 'postgres'): Promise<void> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  const fresh = async () => (engine === 'postgres' ? cleanup.use(await freshDatabase()).url : undefined)
  const [theirs, ours] = [await fresh(), await fresh()]
  const place = cleanup.use(await startPlace(ours ? { database: { postgres: ours } } : {}))
  const at = theirs ? { url: theirs } : { path: join(folder, 'homeserver.db') }
  const homeserver = cleanup.use(await openHomeserverDatabase(at))
  const store = await synapseStore(homeserver, join(folder, 'media_store'))
  const media = Array.from({ length: 1500 }, (_, index) => ({
    mediaId: `AbCd${String(index).padStart(20, '0')}`,
    bytes: Buffer.from(`content ${index % 1000}`),
    hashed: index % 3 === 0,
    ...(index % 300 === 7 ? { isMissing: true } : {}),
  }))
  for (const one of media) await store.add(one)
  const from = ['--database', homeserver.address, '--media-directory', store.folder]

  const args = ['import', 'synapse', '-c', place.server.configFile, ...from]
  for (let kill = 0; kill < KILLS; kill++) {
    await using program = await startCommand('cellarium', args, { folder: place.server.folder })
    while (program.running && !program.lines.some((line) => line.includes('Importing media'))) await pause(5)
    await pause(Math.random() * 150)
    await program.stop('SIGKILL')
  }
  const { code, text: said } = await importInto(place, 'synapse', ...from)
  expect([code, said]).toEqual([0, expect.stringMatching(/level=info msg="Import completed"/)])
  // Whatever run did it: the last one tells of all.
  expect(said.match(/^mxc:\/\/example\.org\/\w+ {2}missing$/gm)).toHaveLength(5)
  const counts = countsIn(said)
  expect(counts['missing: their files are nowhere']).toBe(5)
  expect(Object.values(counts).reduce((a, b) => a + b, 0)).toBe(1500)

  const pool = { maxConnections: 2, maxIdleConnections: 1 }
  const database = { sqlite: join(place.server.folder, 'data', 'cellarium.sqlite'), postgres: ours ?? '', pool }
  await using db = await openDatabase(database, 'tool', recordingLog().log)
  const bytes = media.filter(({ isMissing }) => !isMissing).reduce((sum, one) => sum + one.bytes.length, 0)
  expect(await usageOf(db.read, 'server:example.org')).toEqual({ bytes, files: 1495 })
  const checked = await importInto(place, 'synapse', ...from, '--verify')
  expect(countsIn(checked.text)).toEqual({
    'here, whole, and as they are there': 1495,
    'not here, and missing there as well': 5,
  })
}
