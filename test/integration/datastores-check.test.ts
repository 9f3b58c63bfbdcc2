import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, stat, unlink, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { expect, test, vi } from 'vitest'
import { temporaryFolder } from '../support/folder.ts'
import { startHomeserver } from '../support/homeserver.ts'
import { mediaClient } from '../support/media-client.ts'
import { startProgram } from '../support/processes.ts'
import { type Server, startServer } from '../support/server.ts'

/** Each command is a process of its own, and the first sweep comes within twenty seconds of a start. */
const SLOW = 240_000
const PATIENT = { timeout: 90_000, interval: 100 }
const DAYS_AGO = Date.now() / 1000 - 3 * 24 * 3600

test(
  '`cellarium datastores check` says what it finds beside a running server, in words, as JSON and as a list',
  { timeout: SLOW },
  async () => {
    await using place = await startPlace()
    const { alice } = place
    for (let number = 0; number < 8; number++) await alice.upload(randomBytes(2000))
    expect(await place.cellarium('datastores', 'check')).toMatchObject({
      code: 0,
      text: expect.stringMatching(/consistent/),
    })

    const bytes = randomBytes(2000)
    const { media } = await alice.upload(bytes)
    const [lost = ''] = await place.newest()
    await unlink(lost)
    const orphan = await place.leave('orphan\tof a crash')
    const list = join(place.folder, 'list')
    const dry = await place.cellarium('datastores', 'check', 'media', '--out', list)
    expect(dry.code).toBe(1)
    expect(dry.text).toMatch(/^ +1 object \(4 bytes\) without a record, older than a day$/m)
    expect(dry.text).toMatch(/^ +1 object \(2\.0 KiB\) recorded, but not there$/m)
    const lines = (await readFile(list, 'utf8')).trimEnd().split('\n')
    expect(lines.map((line) => line.split('\t')[0] ?? '').toSorted()).toEqual(['lost', 'orphan'])
    expect(lines.join('\n')).toContain(`mxc://${media}`)
    expect(await readdir(dirname(orphan))).toContain('orphan\tof a crash')

    const json = await place.cellarium('datastores', 'check', '--json', '--verify', '--out', list)
    const { datastores } = JSON.parse(json.text) as { datastores: { checked: { found: object; verified: object } }[] }
    const one = { objects: 1, bytes: expect.any(Number) }
    const none = { objects: 0, bytes: 0 }
    expect(datastores[0]?.checked.found).toEqual({ lost: one, orphan: one, damaged: none, recovered: none })
    expect(datastores[0]?.checked.verified).toEqual({ objects: 8, bytes: 16_000 })
    const found = (await readFile(list, 'utf8')).trimEnd().split('\n')
    expect(found.map((line) => (JSON.parse(line) as { datastore: string }).datastore)).toEqual(['media', 'media'])

    const repaired = await place.cellarium('datastores', 'check', '--repair')
    expect(repaired).toMatchObject({
      code: 0,
      text: expect.stringMatching(/1 object \(4 bytes\) without a record: deleted/),
    })
    expect(await readdir(dirname(orphan))).not.toContain('orphan\tof a crash')
    const after = await place.cellarium('datastores', 'check')
    expect(after).toMatchObject({
      code: 0,
      text: expect.stringMatching(/1 object \(2\.0 KiB\) lost or damaged, as is known already/),
    })
    expect((await alice.download(media)).status).toBe(404)
    await alice.upload(bytes)
    expect(await alice.download(media)).toEqual({ status: 200, body: bytes })
    expect((await place.cellarium('datastores', 'check', '--verify')).text).not.toContain('as is known already')
  },
)

test(
  'A check of what cannot be used ends with status 2 and says why; a wrong database is not repaired by',
  { timeout: SLOW },
  async () => {
    await using place = await startPlace()
    const { alice } = place
    expect(await place.cellarium('datastores', 'check', 'mediaa')).toMatchObject({
      code: 2,
      text: expect.stringMatching(/no datastore is called mediaa; there are: media/),
    })
    await alice.upload(randomBytes(2000))
    const [object = ''] = await place.newest()
    await utimes(object, DAYS_AGO, DAYS_AGO)
    await using other = await temporaryFolder()
    await (await startServer({ folder: other.path }))[Symbol.asyncDispose]()
    const wrong = ['--repair', '--data', join(other.path, 'data')]
    const config = join(other.path, 'media.yaml')
    const opts = { path: place.mediaFolder }
    await writeFile(config, JSON.stringify({ datastores: [{ type: 'file', id: 'media', forKinds: ['all'], opts }] }))
    expect(await place.run('cellarium', ['datastores', 'check', '--config', config, ...wrong])).toMatchObject({
      code: 1,
      text: expect.stringMatching(
        /nothing was repaired: 1 of the 1 objects in media have no record: is this the right database/,
      ),
    })
    expect(await place.newest()).toEqual([object])
  },
)

test('`s3_consistency_check` takes MMR’s flags and lists what no record names', { timeout: SLOW }, async () => {
  await using place = await startPlace()
  await place.alice.upload(randomBytes(2000))
  const orphan = await place.leave('orphan')
  const list = join(place.folder, 'list')
  const flags = ['-config', place.configFile, '-datastoreId=media', '-outFile', list, '-migrations=./migrations']
  expect(await place.run('s3_consistency_check', flags)).toMatchObject({
    code: 0,
    text: expect.stringMatching(/1 object \(4 bytes\) without/),
  })
  expect(await readFile(list, 'utf8')).toBe(`${orphan.slice(place.mediaFolder.length + 1)}\n`)
})

test(
  'A server killed between storing bytes and their record leaves files that the next one sweeps; every record keeps its object',
  { timeout: SLOW },
  async () => {
    await using place = await startPlace()
    const answered: string[] = []
    for (let round = 0; round < 3; round++) {
      const server = await place.restart()
      const client = mediaClient(server, 'alice-token')
      for (let number = 0; number < 5; number++) answered.push((await client.upload(randomBytes(3000))).media)
      const before = (await place.newest()).length
      {
        // While somebody else holds the database, uploads are put and wait for their commit.
        using _ = place.holdDatabase()
        const uploading = [1, 2].map(() => client.upload(randomBytes(3000)).catch(() => undefined))
        await vi.waitFor(async () => expect(await place.newest()).toHaveLength(before + 2), PATIENT)
        await server.stop('SIGKILL')
        await Promise.all(uploading)
      }
    }
    const files = await place.newest()
    expect(files).toHaveLength(15 + 6)
    // A sweep looks back two days from the one before.
    const yesterday = Date.now() / 1000 - 1.5 * 24 * 3600
    for (const path of files) await utimes(path, yesterday, yesterday)
    // One of those that were killed may have swept today, or died over it.
    place.execute('DELETE FROM jobs; DELETE FROM leases')
    const server = await place.restart()
    await vi.waitFor(async () => expect(await place.newest()).toHaveLength(15), PATIENT)
    const client = mediaClient(server, 'alice-token')
    for (const media of answered) expect((await client.download(media)).status).toBe(200)
    const check = await place.cellarium('datastores', 'check', '--verify')
    expect(check).toMatchObject({
      code: 0,
      text: expect.stringMatching(/15 objects \(43\.9 KiB\) stored, 15 objects \(43\.9 KiB\) recorded/),
    })
  },
)

interface Place extends AsyncDisposable {
  readonly folder: string
  readonly mediaFolder: string
  readonly configFile: string
  readonly alice: ReturnType<typeof mediaClient>
  /** Every object's path, the newest first. */
  readonly newest: () => Promise<string[]>
  /** Puts an old file of this name where no sweep looks; gives its path. */
  readonly leave: (name: string) => Promise<string>
  /** Ends the server, unless it was killed, and starts the next on the same folder. */
  readonly restart: () => Promise<Server>
  /** Keeps everybody else from writing to the database until it is disposed. */
  readonly holdDatabase: () => Disposable
  readonly execute: (statements: string) => void
  readonly cellarium: (...args: string[]) => Promise<{ code: number | null; text: string }>
  readonly run: (program: string, args: readonly string[]) => Promise<{ code: number | null; text: string }>
}

async function startPlace(): Promise<Place> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  const homeserver = cleanup.use(await startHomeserver())
  homeserver.addUser({ token: 'alice-token', userId: '@alice:example.org' })
  const homeservers = [{ name: homeserver.serverName, csApi: homeserver.url }]
  const config = { homeservers, uploads: { minBytes: 0 } }
  let server = await startServer({ folder, config })
  cleanup.defer(() => server[Symbol.asyncDispose]())
  const mediaFolder = join(folder, 'data', 'media')
  const openSqlite = () => new DatabaseSync(join(folder, 'data', 'cellarium.sqlite'), { timeout: 10_000 })
  const owned = cleanup.move()
  return {
    folder,
    mediaFolder,
    configFile: server.configFile,
    alice: mediaClient(server, 'alice-token'),
    newest: async () => await objectsIn(mediaFolder),
    leave: async (name) => {
      const path = join(mediaFolder, 'old', name)
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, 'left')
      await utimes(path, DAYS_AGO, DAYS_AGO)
      return path
    },
    restart: async () => {
      await server[Symbol.asyncDispose]()
      server = await startServer({ folder, config })
      return server
    },
    holdDatabase: () => {
      const database = openSqlite()
      database.exec('BEGIN IMMEDIATE')
      return database
    },
    execute: (statements) => {
      using database = openSqlite()
      database.exec(statements)
    },
    cellarium: (...args) => runBin('cellarium', [...args, '--config', server.configFile]),
    run: runBin,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function objectsIn(folder: string): Promise<string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true })
  const paths = found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const objects = paths.filter((path) => !path.includes('/.staging/'))
  const dated = await Promise.all(objects.map(async (path) => ({ path, at: (await stat(path)).mtimeMs })))
  return dated.toSorted((a, b) => b.at - a.at).map(({ path }) => path)
}

async function runBin(name: string, args: readonly string[]): Promise<{ code: number | null; text: string }> {
  const path = fileURLToPath(new URL(`../../bin/${name}.js`, import.meta.url))
  await using program = await startProgram({ command: [process.execPath, path, ...args] })
  const { code } = await program.ended
  return { code, text: program.lines.join('\n') }
}
