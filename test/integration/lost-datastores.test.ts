import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test, vi } from 'vitest'
import { GuardedDatastore } from '../../src/datastores/guarded.ts'
import { refuseEmptyDatastores } from '../../src/media/empty-datastores.ts'
import { ALICE, startApp } from '../support/app.ts'
import { openPlace } from '../support/care.ts'
import { temporaryFolder } from '../support/folder.ts'
import { runProgram } from '../support/processes.ts'
import { describeWith, freshDatabase } from '../support/services.ts'

const NOTHING = () => Promise.resolve(undefined)
const NO_FILES = { list: async function* () {} }
const oneFile = async function* () {
  yield { location: 'a/b' }
}

const CELLARIUM = fileURLToPath(new URL('../../bin/cellarium.js', import.meta.url))
const folder = (path: string, id: string) => ({ id, type: 'file', forKinds: ['all'], opts: { path: join(path, id) } })

const problem = (id: string, objects: string, bytes: number) =>
  `datastores: ${id} is not configured, but the database has ${objects} (${bytes} bytes) in it, which would be lost: ` +
  'configure it again (forKinds: [] if nothing new is to go there), or move them to another datastore first'

describe.each([['SQLite'], ['PostgreSQL']] as const)('On %s', (engine) => {
  const suite = () => {
    test('a start without a datastore that files lie in is refused, with what would be lost', async () => {
      await using place = await temporaryFolder()
      await using database = engine === 'SQLite' ? undefined : await freshDatabase()
      const config = database ? { database: { postgres: database.url } } : {}
      const [old, other, now] = ['old', 'other', 'now'].map((id) => folder(place.path, id))
      {
        await using app = await startApp({ folder: place.path, config: { ...config, datastores: [old] } })
        await app.upload(randomBytes(100))
        await app.upload(randomBytes(200))
        await app.reload({ ...config, datastores: [{ ...old, forKinds: [] }, other] })
        await app.upload(randomBytes(50))
      }
      const without = startApp({ folder: place.path, config: { ...config, datastores: [now] } })
      await expect(without).rejects.toMatchObject({
        name: 'ConfigError',
        problems: [problem('old', '2 objects', 300), problem('other', '1 object', 50)],
      })
      const reading = [{ ...old, forKinds: [] }, { ...other, forKinds: [] }, now]
      await using app = await startApp({ folder: place.path, config: { ...config, datastores: reading } })
      expect((await app.ask('/healthz')).json['datastores']).toEqual({ old: 'up', other: 'up', now: 'up' })
    })
  }
  if (engine === 'SQLite') suite()
  else describeWith('postgres', 'with real files', suite)
})

describe('A reload', () => {
  test('that leaves out a datastore that files lie in keeps the old configuration as a whole, and says why', async () => {
    await using place = await temporaryFolder()
    const [old, now] = ['old', 'now'].map((id) => folder(place.path, id))
    await using app = await startApp({ config: { datastores: [old] } })
    const media = await app.upload(randomBytes(100))
    await app.reload({ datastores: [now], uploads: { maxBytes: 10 } })
    expect(app.log()).toContain(problem('old', '1 object', 100))
    expect(app.log()).toContain('the changed configuration cannot be used; the old one stays in force')
    // Nothing of it is in force: neither the limit nor the datastores.
    await app.upload(randomBytes(1000))
    expect((await app.ask('/healthz')).json['datastores']).toEqual({ old: 'up' })
    expect((await app.ask(`/_matrix/client/v1/media/download/${media}`, { token: ALICE.token })).status).toBe(200)

    await app.reload({ datastores: [now, { ...old, forKinds: [] }], uploads: { maxBytes: 10 } })
    await expect(app.upload(randomBytes(1000))).rejects.toThrow('413')
    expect((await app.ask('/healthz')).json['datastores']).toEqual({ now: 'up', old: 'up' })
    expect((await app.ask(`/_matrix/client/v1/media/download/${media}`, { token: ALICE.token })).status).toBe(200)
  })

  test('may leave out one in which nothing lies', async () => {
    await using place = await temporaryFolder()
    const [old, now] = ['old', 'now'].map((id) => folder(place.path, id))
    await using app = await startApp({ config: { datastores: [old] } })
    await app.reload({ datastores: [now] })
    expect((await app.ask('/healthz')).json['datastores']).toEqual({ now: 'up' })
    await app.upload(randomBytes(100))
  })

  test('with a datastore that cannot be opened keeps the old configuration, and names the datastore', async () => {
    await using place = await temporaryFolder()
    await writeFile(join(place.path, 'file'), 'not a folder')
    const fine = folder(place.path, 'fine')
    const broken = { ...folder(place.path, 'broken'), opts: { path: join(place.path, 'file', 'below') } }
    await using app = await startApp({ config: { datastores: [fine] } })
    using closed = vi.spyOn(GuardedDatastore.prototype, Symbol.asyncDispose)
    const other = folder(place.path, 'other')
    await app.reload({ datastores: [broken, fine, other], uploads: { maxBytes: 10 } })
    // What was opened for it is closed; what is in force is not.
    expect(closed.mock.contexts.map((datastore) => (datastore as GuardedDatastore).id)).toEqual(['other'])
    expect(app.log()).toContain('datastore broken cannot be opened: ENOTDIR')
    await app.upload(randomBytes(100))
    expect((await app.ask('/healthz')).json['datastores']).toEqual({ fine: 'up' })

    await mkdir(join(place.path, 'now'))
    await app.reload({ datastores: [{ ...broken, opts: { path: join(place.path, 'now') } }, fine] })
    expect((await app.ask('/healthz')).json['datastores']).toEqual({ broken: 'up', fine: 'up' })
  })
})

const config = (place: string, path: string) => ({
  datastores: [{ id: 'main', type: 'file', forKinds: ['all'], opts: { path: join(place, path) } }],
})

describe('A folder in which nothing is that should be there, as where a disk is not mounted,', () => {
  const EMPTY = /datastores: main \(.*elsewhere\) has none of 8 recorded objects .* is its disk mounted/
  test('is not served with at a start, nor taken at a reload, until the objects are there', async () => {
    await using place = await temporaryFolder()
    {
      await using app = await startApp({ folder: place.path, config: config(place.path, 'main') })
      for (let number = 0; number < 8; number++) await app.upload(randomBytes(100 + number))
      await app.reload(config(place.path, 'elsewhere'))
      expect(app.log()).toMatch(EMPTY)
      await app.upload(randomBytes(300))
      expect(await readdir(join(place.path, 'elsewhere'))).toEqual(['.staging'])
    }
    await rename(join(place.path, 'main'), join(place.path, 'unmounted'))
    const start = () => startApp({ folder: place.path, config: config(place.path, 'main') })
    await expect(start()).rejects.toMatchObject({
      mayPass: true,
      problems: [expect.stringMatching(/has none of [89] recorded/)],
    })
    await rm(join(place.path, 'main'), { recursive: true })
    await rename(join(place.path, 'unmounted'), join(place.path, 'main'))
    await using _ = await start()
  })

  test('is served with once what is gone is marked as lost', async () => {
    await using place = await temporaryFolder()
    const start = () => startApp({ folder: place.path, config: config(place.path, 'main') })
    {
      await using app = await start()
      for (let number = 0; number < 8; number++) await app.upload(randomBytes(100 + number))
    }
    await rm(join(place.path, 'main'), { recursive: true })
    await expect(start()).rejects.toThrow('is its disk mounted')
    const file = join(place.path, 'cellarium.json')
    const repo = { dataPath: join(place.path, 'data') }
    await writeFile(file, JSON.stringify({ ...config(place.path, 'main'), repo }))
    await runProgram({
      command: [process.execPath, CELLARIUM, 'datastores', 'check', 'main', '--repair', '--force', '--config', file],
    })
    await using _ = await start()
  })

  test('is served with when there is little to tell by', async () => {
    await using place = await temporaryFolder()
    {
      await using app = await startApp({ folder: place.path, config: config(place.path, 'main') })
      for (let number = 0; number < 7; number++) await app.upload(randomBytes(100 + number))
    }
    await rm(join(place.path, 'main'), { recursive: true })
    await using _ = await startApp({ folder: place.path, config: config(place.path, 'main') })
  })

  test('is told from one that cannot be read: that is down, and comes back by itself', async () => {
    await using opened = await openPlace('sqlite')
    for (let number = 0; number < 8; number++) await opened.store()
    const sizeOf = (answer: () => Promise<undefined>, other: Readonly<Record<string, unknown>> = NO_FILES) =>
      new Proxy(opened.datastore, {
        get: (of, name) => (name === 'sizeOf' ? answer : (other[String(name)] ?? Reflect.get(of, name))),
      })
    const gone = sizeOf(NOTHING)
    await expect(refuseEmptyDatastores(opened, [gone])).rejects.toThrow('is its disk mounted')
    await refuseEmptyDatastores(opened, [sizeOf(() => Promise.reject(new Error('EIO')))])
    await refuseEmptyDatastores(opened, [opened.datastore])
    // What it had is made anew.
    await refuseEmptyDatastores(opened, [sizeOf(NOTHING, { ...NO_FILES, kinds: new Set(['thumbnails']) })])
    // One that takes nothing new may hold anything.
    const closed = sizeOf(NOTHING, { ...NO_FILES, kinds: new Set() })
    await expect(refuseEmptyDatastores(opened, [closed])).rejects.toThrow('is its disk mounted')
    // With whatever other files in it, it is no disk that is not mounted.
    await refuseEmptyDatastores(opened, [sizeOf(NOTHING, { list: oneFile })])
  })
})
