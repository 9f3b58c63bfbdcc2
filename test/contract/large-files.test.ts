import { createHash, randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { open, readdir, readFile, readlink, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { noHandles, PLAIN, readWhole } from './datastore.ts'
import { chunksOf } from '../support/bytes.ts'
import { handlePrototype, openFolder } from './folder.ts'

const MIB = 1024 * 1024

afterEach(() => vi.restoreAllMocks())

describe('A large file', () => {
  test.each([8 * MIB, 8 * MIB + 1, 9 * MIB - 1, 8 * MIB + 4096])(
    'of %i bytes is written past the page cache, and is what was sent',
    async (size) => {
      await using under = await openFolder()
      const sent = randomBytes(size)
      const watched = watching(chunksOf(sent), under.path)
      await using staged = await under.datastore.stage(watched.chunks, { maxBytes: 0, expectedBytes: size })
      expect(watched.direct()).toBe(await directWritesWork(under.path))
      expect(staged.sha256).toBe(createHash('sha256').update(sent).digest('hex'))
      expect((await readWhole(under.datastore, await under.datastore.put(staged, PLAIN))).equals(sent)).toBe(true)
    },
  )

  test('is written through the page cache from where the device refuses direct writes', async () => {
    await using under = await openFolder()
    const sent = randomBytes(9 * MIB)
    const prototype = await handlePrototype(under.path)
    const refusal = Object.assign(new Error('EINVAL'), { code: 'EINVAL' })
    vi.spyOn(prototype, 'write').mockRejectedValueOnce(refusal)
    {
      await using staged = await under.datastore.stage(chunksOf(sent), { maxBytes: 0, expectedBytes: sent.length })
      expect((await readFile(staged.path)).equals(sent)).toBe(true)
      await staged.sync()
    }
    await noHandles(under)
  })

  test('of which more come at once than there are buffers for is received all the same', async () => {
    await using under = await openFolder()
    const sent = randomBytes(8 * MIB)
    const options = { maxBytes: 0, expectedBytes: sent.length }
    const staged = await Promise.all(Array.from({ length: 20 }, () => under.datastore.stage(chunksOf(sent), options)))
    for (const file of staged) expect((await readFile(file.path)).equals(sent)).toBe(true)
    for (const file of staged) await file[Symbol.asyncDispose]()
  })

  test('that breaks off leaves no file, no handle and no buffer taken', async () => {
    await using under = await openFolder()
    const sent = randomBytes(8 * MIB)
    const options = { maxBytes: 0, expectedBytes: 9 * MIB }
    for (let time = 0; time < 20; time++) {
      await expect(under.datastore.stage(chunksOf(sent), options)).rejects.toMatchObject({ reason: 'length_mismatch' })
    }
    expect(await under.kept()).toEqual([])
    await noHandles(under)
    const watched = watching(chunksOf(sent), under.path)
    await using _ = await under.datastore.stage(watched.chunks, { maxBytes: 0, expectedBytes: sent.length })
    expect(watched.direct()).toBe(await directWritesWork(under.path))
  })
})

/** The chunks as they are, and whether the file that they are staged into was open for direct writes. */
function watching(
  chunks: AsyncIterable<Uint8Array>,
  folder: string,
): { readonly chunks: AsyncIterable<Uint8Array>; readonly direct: () => boolean } {
  let direct = false
  async function* watched() {
    for await (const chunk of chunks) {
      direct ||= await isOpenDirect(folder)
      yield chunk
    }
  }
  return { chunks: watched(), direct: () => direct }
}

async function isOpenDirect(folder: string): Promise<boolean> {
  for (const fd of await readdir('/proc/self/fd')) {
    const path = await readlink(`/proc/self/fd/${fd}`).catch(() => '')
    if (!path.startsWith(`${folder}/`)) continue
    const flags = /^flags:\s+(\d+)$/m.exec(await readFile(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1]
    if (flags !== undefined && Number.parseInt(flags, 8) & constants.O_DIRECT) return true
  }
  return false
}

async function directWritesWork(folder: string): Promise<boolean> {
  const path = join(folder, 'direct')
  try {
    await using _ = await open(path, constants.O_CREAT | constants.O_WRONLY | constants.O_DIRECT)
    return true
  } catch {
    return false
  } finally {
    await rm(path, { force: true })
  }
}
