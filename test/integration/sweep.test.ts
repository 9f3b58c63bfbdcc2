import { randomBytes } from 'node:crypto'
import { mkdir, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import type { Datastore, KeptObject } from '../../src/datastores/datastore.ts'
import { withoutName } from '../../src/media/orphans.ts'
import { sweep } from '../../src/media/sweep.ts'
import { startStagingSweep } from '../../src/tasks/care.ts'
import { type Engine, openPlace } from '../support/care.ts'
import { describeWith } from '../support/services.ts'

const DAY = 24 * 3600 * 1000

describe('The sweep, with records in SQLite,', () => suite('sqlite'))
describeWith('postgres', 'The sweep, with records in PostgreSQL,', () => suite('postgres'))

function suite(engine: Engine): void {
  test('deletes what crashes left once it is a day old, and nothing that has a record', async () => {
    await using place = await openPlace(engine)
    const stored = await Promise.all(Array.from({ length: 12 }, () => place.store()))
    const left = [await place.putOnly(), await place.putOnly()]
    expect(await sweep(place, place.datastore)).toBe(0)
    place.clock.wait(1.5 * DAY)
    expect(await sweep(place, place.datastore)).toBe(2)
    for (const location of left) expect(await place.datastore.sizeOf(location)).toBeUndefined()
    for (const { location } of stored) expect(await place.datastore.sizeOf(location)).toBe(1000)
    expect(place.counted('cellarium_objects_swept_total')).toBe(2)
    expect(place.lines).toContainEqual(expect.objectContaining({ objects: 2, bytes: 2000, datastore: 'media' }))
  })

  test('leaves files alone that another program put', async () => {
    await using place = await openPlace(engine)
    for (let number = 0; number < 5; number++) await place.store()
    const file = join(place.folder, 'ab', 'cd', 'efgh')
    await mkdir(join(file, '..'), { recursive: true })
    await writeFile(file, 'of matrix-media-repo')
    await utimes(file, 1e9, 1e9)
    place.clock.wait(3 * DAY)
    expect(await sweep(place, place.datastore)).toBe(0)
    expect(await place.datastore.sizeOf('ab/cd/efgh')).toBe(20)
  })

  test('deletes nothing where much of what is there has no record, and says what to do', async () => {
    await using place = await openPlace(engine)
    await place.store()
    const left = [await place.putOnly(), await place.putOnly()]
    place.clock.wait(2 * DAY)
    expect(await sweep(place, place.datastore)).toBe(0)
    for (const location of left) expect(await place.datastore.sizeOf(location)).toBe(1000)
    expect(place.lines).toContainEqual(
      expect.objectContaining({ objects: 2, of: 3, msg: expect.stringContaining('datastores check') }),
    )
  })

  test('keeps what a record names under another id of the same folder, behind a link or within it too', async () => {
    await using place = await openPlace(engine)
    const folders = { media: place.folder, link: `${place.folder}-link`, outer: join(place.folder, '..') }
    await symlink(folders.media, folders.link)
    await place.datastores.configure(
      Object.entries(folders).map(([id, path]) => ({ type: 'file', id, forKinds: ['all'], opts: { path } })),
    )
    const stored = await Promise.all(Array.from({ length: 3 }, () => place.store()))
    const left = await place.putOnly()
    place.clock.wait(3 * DAY)
    for (const id of ['link', 'outer']) {
      const datastore = place.datastores.get(id)
      if (!datastore) throw new Error(`${id} is not open`)
      const listed = await Array.fromAsync(datastore.list())
      const names = (await withoutName(place, datastore, listed)).map(({ location }) => location)
      expect(names.filter((location) => location.endsWith(left))).toHaveLength(1)
      for (const { location } of stored) expect(names.filter((name) => name.endsWith(location))).toEqual([])
    }
    expect(await sweep(place, place.datastores.get('link') ?? place.datastore)).toBe(1)
    for (const { location } of stored) expect(await place.datastore.sizeOf(location)).toBe(1000)
  })

  test('asks the datastore only for what was put since the last one, with two days to spare', async () => {
    await using place = await openPlace(engine)
    await place.store()
    const asked: (number | undefined)[] = []
    const watched: Datastore = new Proxy(place.datastore, {
      get: (of, name) =>
        name === 'list'
          ? (options?: { since?: number }) => {
              asked.push(options?.since)
              return of.list(options)
            }
          : Reflect.get(of, name),
    })
    const began = place.clock.now()
    await sweep(place, watched)
    place.clock.wait(DAY)
    await sweep(place, watched)
    expect(asked[0]).toBe(0)
    expect(asked[1]).toBeGreaterThanOrEqual(began - 2 * DAY)
    expect(asked[1]).toBeLessThan(began + DAY - 2 * DAY)
  })

  test('that breaks off is made up for by the next', async () => {
    await using place = await openPlace(engine)
    for (let number = 0; number < 5; number++) await place.store()
    const left = await place.putOnly()
    await sweep(place, place.datastore)
    place.clock.wait(4 * DAY)
    const broken: Datastore = new Proxy(place.datastore, {
      get: (of, name) => (name === 'list' ? () => failingList(of) : Reflect.get(of, name)),
    })
    await expect(sweep(place, broken)).rejects.toThrow('the disk fell out')
    expect(await sweep(place, place.datastore)).toBe(1)
    expect(await place.datastore.sizeOf(left)).toBeUndefined()
  })
}

async function* failingList(of: Datastore): AsyncGenerator<KeptObject> {
  for await (const object of of.list()) {
    yield object
    throw new Error('the disk fell out')
  }
}

test('Only the folders of the days asked for are listed', async () => {
  await using place = await openPlace('sqlite')
  const now = place.clock.now()
  const days = [40, 3, 1, 0].map((ago) => new Date(now - ago * DAY).toISOString().slice(0, 10).replaceAll('-', '/'))
  for (const day of days) {
    await mkdir(join(place.folder, day, 'folder'), { recursive: true })
    await writeFile(join(place.folder, day, 'folder', 'file'), randomBytes(3))
  }
  const listed = await Array.fromAsync(place.datastore.list({ since: now - DAY }))
  expect(listed.map(({ location }) => location).toSorted()).toEqual(
    days
      .slice(2)
      .map((day) => `${day}/folder/file`)
      .toSorted(),
  )
  expect(await Array.fromAsync(place.datastore.list({ since: 0 }))).toHaveLength(4)
  expect(await Array.fromAsync(place.datastore.list())).toHaveLength(4)
})

test('What a broken upload left is deleted while the server runs, once it is a day old', async () => {
  await using place = await openPlace('sqlite')
  const [old, young] = ['old', 'young'].map((name) => join(place.folder, '.staging', name))
  for (const path of [old, young]) await writeFile(path ?? '', 'half')
  const twoDaysAgo = Date.now() / 1000 - 2 * 24 * 3600
  await utimes(old ?? '', twoDaysAgo, twoDaysAgo)
  await using _ = startStagingSweep(place, 20)
  await vi.waitFor(
    () => expect(place.lines).toContainEqual(expect.objectContaining({ datastore: 'media', files: 1 })),
    10_000,
  )
  await expect(place.datastore.sizeOf('.staging/old')).resolves.toBeUndefined()
  await expect(place.datastore.sizeOf('.staging/young')).resolves.toBe(4)
})
