/** Backups of a server that goes on working, and what is restored from them. */
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { setTimeout as pause } from 'node:timers/promises'
import { stringify } from 'yaml'
import { describe, expect, test } from 'vitest'
import { expectWhole } from '../support/crash/checks.ts'
import { temporaryFolder } from '../support/folder.ts'
import { NO_REQUEST_LIMITS } from '../support/limits.ts'
import { type Place, startPlace } from '../support/place.ts'
import { startProgram } from '../support/processes.ts'
import { startSmallDisk } from '../support/small-disk.ts'
import { describeWith, freePort, freshDatabase } from '../support/services.ts'
import { startServer } from '../support/server.ts'
import { mediaClient } from '../support/media-client.ts'

const CELLARIUM = fileURLToPath(new URL('../../bin/cellarium.js', import.meta.url))
const PATIENT = { timeout: 180_000 }

/** A command beside the server, with the server's configuration. */
async function begin(config: string, args: readonly string[]) {
  const { CELLARIUM_DATA: _data, REPO_CONFIG: _config, ...environment } = process.env
  const command = [process.execPath, CELLARIUM, ...args, '--config', config]
  return await startProgram({ command, environment, endSignal: 'SIGKILL' })
}

async function run(config: string, ...args: string[]) {
  await using program = await begin(config, args)
  const { code } = await program.ended
  return { code, text: program.lines.join('\n') }
}

/** A configuration for what is restored: other folders, the same id. */
async function emptyPlace(folder: string, datastore: string): Promise<string> {
  const config = {
    repo: { port: await freePort(), dataPath: join(folder, 'data'), logDirectory: '-' },
    homeservers: [{ name: 'example.org', csApi: 'http://127.0.0.1:9' }],
    datastores: [{ type: 'file', id: datastore, forKinds: ['all'], opts: { path: join(folder, 'restored') } }],
    rateLimit: NO_REQUEST_LIMITS,
  }
  const file = join(folder, 'cellarium.yaml')
  await writeFile(file, stringify(config))
  return file
}

/** Uploads small files until it is told to stop; what was answered, with its hash. */
function uploading({ alice }: Place) {
  const answered = new Map<string, string>()
  const stopped = new AbortController()
  const work = async () => {
    while (!stopped.signal.aborted) {
      const bytes = randomBytes(2000)
      const { status, media } = await alice.upload(bytes)
      if (status === 200) answered.set(media, createHash('sha256').update(bytes).digest('hex'))
    }
  }
  const all = Promise.all([work(), work(), work()])
  return {
    answered,
    async stop() {
      stopped.abort()
      await all
    },
  }
}

/** Every media row of the restored database has its object, in its right bytes; gives the hashes by MXC URI. */
async function restoredIn(folder: string): Promise<Map<string, string>> {
  using database = closing(new DatabaseSync(join(folder, 'data', 'cellarium.sqlite')))
  const query = (statement: string) => Promise.resolve(database.open.prepare(statement).all())
  expect(await query('PRAGMA integrity_check')).toEqual([{ integrity_check: 'ok' }])
  expect(await expectWhole({ mediaFolder: join(folder, 'restored'), query })).toEqual([])
  const rows = await query('SELECT origin, media_id, sha256 FROM media')
  return new Map(rows.map((row) => [`${String(row['origin'])}/${String(row['media_id'])}`, String(row['sha256'])]))
}

function closing(open: DatabaseSync) {
  return { open, [Symbol.dispose]: () => open.close() }
}

async function datastoreOf(backup: string): Promise<string> {
  const { datastores } = JSON.parse(await readFile(join(backup, 'manifest.json'), 'utf8'))
  return String(datastores[0].id)
}

describe('cellarium backup', PATIENT, () => {
  test('copies a server that goes on uploading; what it answered before is restored, and nothing by halves', async () => {
    await using folder = await temporaryFolder()
    await using place = await startPlace()
    const { configFile } = place.server
    const uploads = uploading(place)
    await pause(500)
    const before = new Map(uploads.answered)
    const backup = join(folder.path, 'backup')
    const made = await run(configFile, 'backup', backup, '--verify')
    expect([made.code, made.text]).toEqual([0, expect.stringContaining('0 are not')])
    await uploads.stop()
    expect(uploads.answered.size).toBeGreaterThan(before.size)

    const config = await emptyPlace(folder.path, await datastoreOf(backup))
    const restored = await run(config, 'restore', backup, '--copy')
    expect([restored.code, restored.text]).toEqual([0, expect.stringContaining('Restored what was backed up')])
    const there = await restoredIn(folder.path)
    for (const [media, hash] of before) expect([media, there.get(media)]).toEqual([media, hash])
    for (const [media, hash] of there) expect(uploads.answered.get(media) ?? hash).toBe(hash)
  })

  test('again brings the copy up to date: what is new comes, what is there stays, what was deleted goes', async () => {
    await using folder = await temporaryFolder()
    await using place = await startPlace()
    const backup = join(folder.path, 'backup')
    await place.alice.upload(Buffer.from('stays'))
    await place.alice.upload(Buffer.from('goes'))
    expect((await run(place.server.configFile, 'backup', backup, '--copy')).text).toContain('2 copied, 0 linked')
    const objects = async () =>
      (await readdir(join(backup, 'objects'), { recursive: true, withFileTypes: true })).filter((one) => one.isFile())
    await rm(forget(place, 'goes'))
    await place.alice.upload(Buffer.from('comes'))
    const again = await run(place.server.configFile, 'backup', backup)
    expect(again.text).toMatch(/2 objects: \d copied, \d linked .* 1 were there\. 1 that nothing names/)
    expect(await objects()).toHaveLength(2)
    const contents = await Promise.all(
      (await objects()).map(({ parentPath, name }) => readFile(join(parentPath, name), 'utf8')),
    )
    expect(contents.toSorted()).toEqual(['comes', 'stays'])
  })

  test('killed at any moment leaves the backup before it whole, and goes on the next time', async () => {
    await using folder = await temporaryFolder()
    await using place = await startPlace()
    const { configFile } = place.server
    const backup = join(folder.path, 'backup')
    for (let number = 0; number < 30; number++) await place.alice.upload(randomBytes(1000))
    expect((await run(configFile, 'backup', backup)).code).toBe(0)
    const uploads = uploading(place)
    for (const afterMs of [300, 600, 1000]) {
      await using killed = await begin(configFile, ['backup', backup, '--copy'])
      await pause(afterMs)
      await killed.stop('SIGKILL')
      await using other = await temporaryFolder()
      const config = await emptyPlace(other.path, await datastoreOf(backup))
      expect((await run(config, 'restore', backup)).code).toBe(0)
      expect((await restoredIn(other.path)).size).toBeGreaterThanOrEqual(30)
    }
    await uploads.stop()
    expect((await run(configFile, 'backup', backup, '--verify')).code).toBe(0)
    const names = await readdir(backup, { recursive: true })
    expect(names.filter((name) => name.endsWith('.partial'))).toEqual([])
  })

  test('is one file where that is wanted, from which a server starts that serves what was uploaded', async () => {
    await using folder = await temporaryFolder()
    await using place = await startPlace()
    const { media } = await place.alice.upload(Buffer.from('in one file'))
    const archive = join(folder.path, 'cellarium.tar')
    const made = await run(place.server.configFile, 'backup', archive)
    expect([made.code, made.text]).toEqual([0, expect.stringContaining('is written')])
    await place.server.stop()
    // In its own folders, as after the loss of a disk.
    await rm(join(place.server.folder, 'data'), { recursive: true })
    expect(await run(place.server.configFile, 'restore', archive)).toMatchObject({ code: 0 })
    const { homeservers } = await configurationOf(place.server.configFile)
    await using again = await startServer({
      folder: place.server.folder,
      config: { homeservers, uploads: { minBytes: 0 } },
    })
    const { status, body } = await mediaClient(again, 'alice-token').download(media)
    expect([status, body.toString()]).toEqual([200, 'in one file'])
    expect(await readdir(folder.path)).toEqual(['cellarium.tar'])
  })

  test('is not restored over a database, nor without the datastore it is for', async () => {
    await using folder = await temporaryFolder()
    await using place = await startPlace()
    await place.alice.upload(Buffer.from('something'))
    const backup = join(folder.path, 'backup')
    await run(place.server.configFile, 'backup', backup)
    const over = await run(place.server.configFile, 'restore', backup)
    expect([over.code, over.text]).toEqual([1, expect.stringContaining('there already: stop the server')])
    // Of a database that crashed and was moved away alone: SQLite would write it into the restored one.
    const beside = await emptyPlace(folder.path, await datastoreOf(backup))
    await mkdir(join(folder.path, 'data'), { recursive: true })
    await writeFile(join(folder.path, 'data', 'cellarium.sqlite-wal'), 'of another database')
    const mixed = await run(beside, 'restore', backup)
    expect([mixed.code, mixed.text]).toEqual([1, expect.stringContaining('cellarium.sqlite-wal is there already')])
    expect(await readdir(join(folder.path, 'data'))).toEqual(['cellarium.sqlite-wal'])
    const without = await run(await emptyPlace(folder.path, 'another'), 'restore', backup)
    expect([without.code, without.text]).toEqual([1, expect.stringContaining('configure datastores of type file')])
    await rm(join(backup, 'manifest.json'))
    const unfinished = await run(await emptyPlace(folder.path, 'another'), 'restore', backup)
    expect([unfinished.code, unfinished.text]).toEqual([1, expect.stringContaining('none that was finished')])
  })
})

describeWith('mount', 'On a disk that is too small', () => {
  test.each([
    ['backup', ['backup'], /ENOSPC: no space left on device, copyfile/],
    ['an export', ['export', 'server', 'example.org', '--destination'], /part-1.tgz.partial cannot be written: ENOSPC/],
  ])('%s says so in a line, and goes on when there is room', PATIENT, async (_, command, words) => {
    await using place = await startPlace()
    await place.alice.upload(randomBytes(2_000_000))
    await using disk = await startSmallDisk(1_000_000)
    const target = join(disk.path, 'target')
    const full = await run(place.server.configFile, ...command, target)
    expect([full.code, full.text]).toEqual([1, expect.stringMatching(words)])
    expect(full.text).not.toContain('    at ')
    await disk.resize(6_000_000)
    expect(await run(place.server.configFile, ...command, target)).toMatchObject({ code: 0 })
  })
})

describeWith('postgres', 'cellarium backup on PostgreSQL', () => {
  test('says what to use, in which order, and ends with 2', PATIENT, async () => {
    await using folder = await temporaryFolder()
    await using database = await freshDatabase()
    const config = join(folder.path, 'cellarium.yaml')
    const datastores = [{ type: 'file', id: 'main', forKinds: ['all'], opts: { path: join(folder.path, 'media') } }]
    await writeFile(config, stringify({ database: { postgres: database.url }, datastores }))
    const { code, text } = await run(config, 'backup', join(folder.path, 'backup'))
    expect(code).toBe(2)
    expect(text).toMatch(/pg_dump[^]*then the datastores[^]*main: .*media[^]*pg_restore/)
    expect(text).not.toContain(database.url)
  })
})

/** As if it had been purged; gives the path of its object. */
function forget(place: Place, content: string): string {
  using database = closing(new DatabaseSync(join(place.server.folder, 'data', 'cellarium.sqlite')))
  const hash = createHash('sha256').update(content).digest('hex')
  const row = database.open.prepare('SELECT location FROM objects WHERE sha256 = ?').get(hash)
  database.open.prepare('DELETE FROM media WHERE sha256 = ?').run(hash)
  database.open.prepare('DELETE FROM objects WHERE sha256 = ?').run(hash)
  return join(place.mediaFolder, String(row?.['location']))
}

async function configurationOf(file: string) {
  const { parse } = await import('yaml')
  return parse(await readFile(file, 'utf8')) as { readonly homeservers: readonly unknown[] }
}
