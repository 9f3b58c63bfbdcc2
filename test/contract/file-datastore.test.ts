import { cp, mkdir, readdir, readFile, rename, rm, stat, symlink, unlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { openFileDatastore } from '../../src/datastores/file.ts'
import { Folder, Folders } from '../../src/datastores/folders.ts'
import { temporaryFolder } from '../support/folder.ts'
import { UNREACHABLE, outageOf } from '../../src/datastores/outage.ts'
import { type FolderUnderTest, handlePrototype, NOON, openFolder, optionsOf, recordSyncs } from './folder.ts'
import { datastoreContract, noHandles, PLAIN, put, readWhole } from './datastore.ts'
import { chunksOf } from '../support/bytes.ts'
import { growingContract } from './growing-file.ts'

const DAY_MS = 24 * 3600 * 1000

datastoreContract('A folder as datastore', () => openFolder())
growingContract('A folder', () => openFolder())

afterEach(() => vi.restoreAllMocks())

describe('Objects as files', () => {
  test('lie in a folder named after the day, with names that say nothing', async () => {
    await using under = await openFolder()
    const location = await put(under.datastore, Buffer.from('hello'))
    expect(location).toMatch(/^2030\/03\/04\/name1\/[0-9a-f]{32}$/)
    expect(under.datastore.localPath?.(location)).toBe(join(under.path, location))
  })

  test('that are others’ files are links to them: nothing is copied, and deleting leaves those as they are', async () => {
    await using under = await openFolder()
    await using others = await temporaryFolder({ 'their file': 'theirs' })
    const path = join(others.path, 'their file')
    const location = await under.datastore.adopt?.({ path })
    if (location === undefined) throw new Error('it was not adopted')
    expect((await stat(path)).nlink).toBe(2)
    expect((await readWhole(under.datastore, location)).toString()).toBe('theirs')
    await under.datastore.delete(location)
    expect(await under.datastore.sizeOf(location)).toBeUndefined()
    expect(await readFile(path, 'utf8')).toBe('theirs')
  })

  test('are not made of files of another disk, of symbolic links, or of what is in a bucket', async () => {
    await using under = await openFolder()
    await using elsewhere = await temporaryFolder({ file: 'x' }, '/dev/shm')
    await using others = await temporaryFolder({ file: 'x' })
    await symlink(join(others.path, 'file'), join(others.path, 'link'))
    const paths = [join(elsewhere.path, 'file'), join(others.path, 'link')]
    for (const path of paths) expect(await under.datastore.adopt?.({ path })).toBeUndefined()
    expect(await under.datastore.adopt?.({ uri: 's3://host/bucket', key: 'file' })).toBeUndefined()
    await expect(under.datastore.adopt?.({ path: join(others.path, 'none') })).rejects.toThrow('ENOENT')
    expect(await under.kept()).toEqual([])
  })

  test('can be read by the group of the server, and by nobody else', async () => {
    await using under = await openFolder()
    const location = await put(under.datastore, Buffer.from('private'))
    const umask = process.umask()
    expect((await stat(join(under.path, location))).mode & 0o777).toBe(0o640 & ~umask)
    expect((await stat(join(under.path, location, '..'))).mode & 0o777).toBe(0o750 & ~umask)
  })

  test('never lie beside the folders: what is there is somebody else’s, and not listed', async () => {
    await using under = await openFolder()
    const location = await put(under.datastore, Buffer.from('hello'))
    for (const name of ['cellarium.sqlite', 'media-repo.yaml']) await writeFile(join(under.path, name), 'not an object')
    const listed = await Array.fromAsync(under.datastore.list())
    expect(listed.map((object) => object.location)).toEqual([location])
  })

  test('that MMR wrote are read where they are', async () => {
    await using under = await openFolder()
    const location = 'ab/cd/ef0123456789abcdefghijklmnopqrstuvwxyz-_idv2fmt'
    await mkdir(join(under.path, location, '..'), { recursive: true })
    await writeFile(join(under.path, location), 'from MMR')
    expect(await under.datastore.sizeOf(location)).toBe(8)
    expect((await readWhole(under.datastore, location)).toString()).toBe('from MMR')
    await under.datastore.delete(location)
    expect(await under.datastore.sizeOf(location)).toBeUndefined()
  })

  test('are missing, not an outage, when a file stands where a folder was', async () => {
    await using under = await openFolder()
    await writeFile(join(under.path, 'ab'), 'a file')
    await expect(under.datastore.open('ab/cd/ef')).rejects.toThrow('has no object ab/cd/ef')
    expect(await under.datastore.sizeOf('ab/cd/ef')).toBeUndefined()
  })

  test('are no folders', async () => {
    await using under = await openFolder()
    await mkdir(join(under.path, 'ab'))
    expect(await under.datastore.sizeOf('ab')).toBeUndefined()
  })

  test('that are there but cannot be read are an outage, not missing', async () => {
    await using under = await openFolder()
    const tooLong = 'x'.repeat(300)
    await expect(under.datastore.open(tooLong)).rejects.toMatchObject({ code: 'ENAMETOOLONG' })
    await expect(under.datastore.sizeOf(tooLong)).rejects.toMatchObject({ code: 'ENAMETOOLONG' })
  })
})

describe('A folder whose disk is taken away', () => {
  test('has no missing objects, but an outage, whatever is asked; nothing is put into the folder in its place', async () => {
    await using under = await openFolder()
    await using others = await temporaryFolder({ file: 'theirs' })
    const location = await put(under.datastore, Buffer.from('hello'))
    const waiting = await under.datastore.stage(chunksOf(Buffer.from('received before')), { maxBytes: 0 })
    const mount = await unmount(under)
    const uses: Record<string, () => Promise<unknown> | undefined> = {
      open: () => under.datastore.open('2030/03/04/name1/other'),
      sizeOf: () => under.datastore.sizeOf(location),
      delete: () => under.datastore.delete(location),
      list: () => Array.fromAsync(under.datastore.list()),
      listRecent: () => Array.fromAsync(under.datastore.list({ since: 0 })),
      stage: () => under.datastore.stage(chunksOf(Buffer.from('new')), { maxBytes: 0 }),
      put: () => under.datastore.put(waiting, PLAIN),
      adopt: () => under.datastore.adopt?.({ path: join(others.path, 'file') }),
      sweep: () => under.datastore.sweepStaged?.(),
      check: () => under.datastore.check(),
    }
    for (const [name, use] of Object.entries(uses)) {
      const error: unknown = await use()?.then(
        () => undefined,
        (failure: unknown) => failure,
      )
      expect(error, name).toMatchObject({ name: 'StorageUnavailable', cause: { message: expect.any(String) } })
      expect(outageOf(error), name).toBe('down')
      expect(String((error as Error).cause), name).toContain('is its disk mounted?')
    }
    expect(await readdir(under.path)).toEqual([])
    await mount()
    await under.datastore.check()
    expect((await readWhole(under.datastore, location)).toString()).toBe('hello')
    await waiting[Symbol.asyncDispose]()
  })

  test('is the same when it comes back with another number; a copy in its place will do as well', async () => {
    await using under = await openFolder()
    const location = await put(under.datastore, Buffer.from('hello'))
    await cp(under.path, `${under.path}-copy`, { recursive: true })
    await rm(under.path, { recursive: true })
    await expect(under.datastore.sizeOf(location)).rejects.toThrow(UNREACHABLE)
    await rename(`${under.path}-copy`, under.path)
    await under.datastore.check()
    expect(await under.datastore.sizeOf(location)).toBe(5)
    expect(await under.datastore.sizeOf('none')).toBeUndefined()
  })

  test('does not matter where there are thumbnails only: they are made anew', async () => {
    await using under = await openFolder({ kinds: ['thumbnails'] })
    const location = await put(under.datastore, Buffer.from('small'))
    await rm(under.path, { recursive: true })
    expect(await under.datastore.sizeOf(location)).toBeUndefined()
    await under.datastore.check()
    expect(await put(under.datastore, Buffer.from('small')).catch(String)).toContain('ENOENT')
    expect((await readWhole(under.datastore, await put(under.datastore, Buffer.from('new')))).toString()).toBe('new')
  })
})

test('A folder whose place for what is being received was deleted is mended by its check', async () => {
  await using under = await openFolder()
  await rm(join(under.path, '.staging'), { recursive: true })
  await expect(put(under.datastore, Buffer.from('x'))).rejects.toMatchObject({ code: 'ENOENT' })
  await under.datastore.check()
  expect((await readWhole(under.datastore, await put(under.datastore, Buffer.from('x')))).toString()).toBe('x')
})

describe('Folders of objects', () => {
  test('take 4,096 files each', async () => {
    await using folder = await temporaryFolder()
    let names = 0
    const folders = new Folders(folder.path, { now: () => NOON, newName: () => `name${++names}` })
    const filled = new Map<string, number>()
    for (let files = 0; files < 4100; files++) {
      const { name } = await folders.next()
      filled.set(name, (filled.get(name) ?? 0) + 1)
    }
    expect([...filled]).toEqual([
      ['2030/03/04/name1', 4096],
      ['2030/03/04/name2', 4],
    ])
  })

  test('change at midnight UTC', async () => {
    let now = Date.parse('2030-12-31T23:59:59.999Z')
    await using under = await openFolder({ now: () => now })
    expect(folderOf(await put(under.datastore, Buffer.from('old')))).toBe('2030/12/31/name1')
    now++
    expect(folderOf(await put(under.datastore, Buffer.from('new')))).toBe('2031/01/01/name2')
  })

  test('are never shared by two servers on one disk', async () => {
    await using one = await openFolder()
    const other = await openFileDatastore(optionsOf(one.path), { now: () => NOON, newName: () => 'other' })
    const locations = [await put(one.datastore, Buffer.from('1')), await put(other, Buffer.from('2'))]
    expect(locations.map(folderOf)).toEqual(['2030/03/04/name1', '2030/03/04/other'])
    expect((await readWhole(one.datastore, locations[1] ?? '')).toString()).toBe('2')
  })

  test('that somebody deleted are made anew for the next file', async () => {
    await using under = await openFolder()
    await put(under.datastore, Buffer.from('first'))
    await rm(join(under.path, '2030'), { recursive: true })
    await expect(put(under.datastore, Buffer.from('second'))).rejects.toMatchObject({ code: 'ENOENT' })
    expect(await under.kept()).toEqual([])
    const location = await put(under.datastore, Buffer.from('third'))
    expect((await readWhole(under.datastore, location)).toString()).toBe('third')
  })

  test('that cannot be made fail the put; the next one tries again', async () => {
    await using under = await openFolder()
    await writeFile(join(under.path, '2030'), 'in the way')
    await expect(put(under.datastore, Buffer.from('first'))).rejects.toMatchObject({ code: 'ENOTDIR' })
    expect(await under.kept()).toEqual(['2030'])
    await unlink(join(under.path, '2030'))
    const location = await put(under.datastore, Buffer.from('second'))
    expect((await readWhole(under.datastore, location)).toString()).toBe('second')
  })
})

describe('What is put is on disk', () => {
  test('a new folder is synced up to the datastore, because another server may have made its parents just now', async () => {
    await using under = await openFolder()
    await mkdir(join(under.path, '2030/03/04'), { recursive: true })
    const synced = await recordSyncs(under.path)
    const location = await put(under.datastore, Buffer.from('x'))
    expect(synced).toEqual(['2030/03/04', '2030/03', '2030', '', location, folderOf(location)])
  })

  test('a datastore in a folder that is not there yet makes it, and syncs what it made', async () => {
    await using folder = await temporaryFolder()
    const synced = await recordSyncs(folder.path)
    await openFileDatastore(optionsOf(join(folder.path, 'a/b/media')), { now: () => NOON, newName: () => 'name' })
    expect(synced).toEqual(['a/b', 'a', ''])
  })

  test('nothing waits for the disk where the object can be made anew, until it is settled', async () => {
    await using under = await openFolder()
    await put(under.datastore, Buffer.from('in the same folder'))
    const synced = await recordSyncs(under.path)
    await using staged = await under.datastore.stage(chunksOf(Buffer.from('made')), { maxBytes: 0 })
    const location = await under.datastore.put(staged, { ...PLAIN, remakeable: true })
    expect((await readWhole(under.datastore, location)).toString()).toBe('made')
    expect(synced).toEqual([])
    await under.datastore.settle?.(location)
    expect(synced).toEqual([location, folderOf(location)])
    await expect(under.datastore.settle?.('2030/03/04/name1/none')).rejects.toThrow('has no object')
  })

  test('many uploads at once share syncs of their folder', async () => {
    await using under = await openFolder()
    await put(under.datastore, Buffer.from('x'))
    const synced = await recordSyncs(under.path)
    const staged = await Promise.all(
      Array.from({ length: 100 }, () => under.datastore.stage(chunksOf(Buffer.from('x')), { maxBytes: 0 })),
    )
    const locations = await Promise.all(staged.map((file) => under.datastore.put(file, PLAIN)))
    await Promise.all(staged.map((file) => file[Symbol.asyncDispose]()))
    const folders = synced.filter((path) => path === folderOf(locations[0] ?? ''))
    expect(folders.length).toBeGreaterThan(0)
    expect(folders.length).toBeLessThan(50)
  })

  test('a put counts on no sync that began before it', async () => {
    await using folder = await temporaryFolder()
    await mkdir(join(folder.path, 'objects'))
    const gates: PromiseWithResolvers<void>[] = []
    const prototype = await handlePrototype(folder.path)
    vi.spyOn(prototype, 'sync').mockImplementation(async () => {
      const gate = Promise.withResolvers<void>()
      gates.push(gate)
      await gate.promise
    })
    const objects = new Folder(folder.path, 'objects')
    const done: string[] = []
    const sync = (name: string) => objects.sync().then(() => done.push(name))
    const first = sync('first')
    await vi.waitFor(() => expect(gates).toHaveLength(1))
    const later = [sync('second'), sync('third')]
    gates[0]?.resolve()
    await first
    await vi.waitFor(() => expect(gates).toHaveLength(2))
    expect(done).toEqual(['first'])
    gates[1]?.resolve()
    await Promise.all(later)
    expect(done).toEqual(['first', 'second', 'third'])
    expect(gates).toHaveLength(2)
  })

  test('a sync that fails fails the puts that counted on it, and leaves no object', async () => {
    await using under = await openFolder()
    await put(under.datastore, Buffer.from('before'))
    const before = await under.kept()
    await using staged = await under.datastore.stage(chunksOf(Buffer.from('x')), { maxBytes: 0 })
    const prototype = await handlePrototype(under.path)
    vi.spyOn(prototype, 'sync').mockRejectedValueOnce(new Error('EIO'))
    await expect(under.datastore.put(staged, PLAIN)).rejects.toThrow('EIO')
    expect(await under.kept()).toEqual(before)
    expect((await readWhole(under.datastore, await put(under.datastore, Buffer.from('after')))).toString()).toBe(
      'after',
    )
  })

  test('a disk that turns out to be full when it is synced leaves no file and no handle', async () => {
    await using under = await openFolder()
    const prototype = await handlePrototype(under.path)
    vi.spyOn(prototype, 'datasync').mockRejectedValueOnce(Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' }))
    await expect(put(under.datastore, Buffer.from('x'))).rejects.toThrow('ENOSPC')
    expect(await under.kept()).toEqual([])
    await noHandles(under)
  })
})

describe('What a crash left in the staging folder', () => {
  test('goes at the next start once it is a day old; what may still be written stays', async () => {
    await using folder = await temporaryFolder()
    const staging = join(folder.path, '.staging')
    await mkdir(staging)
    const files = { old: NOON - DAY_MS, young: NOON - DAY_MS + 1000, fresh: NOON }
    for (const [name, at] of Object.entries(files)) await fileOfAge(join(staging, name), at)
    await openFileDatastore(optionsOf(folder.path), { now: () => NOON, newName: () => 'name' })
    expect((await readdir(staging)).toSorted()).toEqual(['fresh', 'young'])
  })

  test('may go away by itself meanwhile: another server on the same disk goes on uploading', async () => {
    await using folder = await temporaryFolder()
    await mkdir(join(folder.path, '.staging'))
    const stopped = new AbortController()
    const busy = comeAndGo(join(folder.path, '.staging'), stopped.signal)
    try {
      for (let start = 0; start < 50; start++) {
        await openFileDatastore(optionsOf(folder.path), { now: Date.now, newName: () => 'name' })
      }
    } finally {
      stopped.abort()
      await busy
    }
  })
})

describe('A folder that cannot be used', () => {
  test('is not opened when something else stands there', async () => {
    await using folder = await temporaryFolder()
    await writeFile(join(folder.path, 'media'), 'a file')
    const opening = openFileDatastore(optionsOf(join(folder.path, 'media')), { now: () => NOON, newName: () => 'name' })
    await expect(opening).rejects.toMatchObject({ code: 'EEXIST' })
  })
})

/** What an unmounted disk leaves: another folder, with nothing in it. */
async function unmount({ path }: FolderUnderTest): Promise<() => Promise<void>> {
  await rename(path, `${path}-elsewhere`)
  await mkdir(path)
  return async () => {
    await rm(path, { recursive: true })
    await rename(`${path}-elsewhere`, path)
  }
}

function folderOf(location: string): string {
  return location.split('/').slice(0, -1).join('/')
}

async function fileOfAge(path: string, at: number): Promise<void> {
  await writeFile(path, 'left behind')
  await utimes(path, at / 1000, at / 1000)
}

/** Files that appear and vanish as fast as they can, as another server's do. */
async function comeAndGo(folder: string, stop: AbortSignal): Promise<void> {
  for (let made = 0; !stop.aborted; made++) {
    const paths = Array.from({ length: 20 }, (_, index) => join(folder, `${made}-${index}`))
    await Promise.all(paths.map((path) => writeFile(path, '')))
    await Promise.all(paths.map((path) => unlink(path)))
  }
}
