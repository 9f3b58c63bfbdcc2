import { Buffer } from 'node:buffer'
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { folderPlace } from '../../src/archives/folder.ts'
import { partName } from '../../src/archives/names.ts'
import type { Archivable } from '../../src/archives/part.ts'
import { readEntries } from '../../src/archives/read.ts'
import { writeArchive } from '../../src/archives/write.ts'
import { pieces, wholeManifest } from '../support/archives.ts'
import { temporaryFolder } from '../support/folder.ts'

const MMR = new URL('../fixtures/mmr-archive/', import.meta.url).pathname

describe('an archive of matrix-media-repo', () => {
  test('is read: its manifest, and every file with the hash that it says', async () => {
    const manifest = await wholeManifest(createReadStream(join(MMR, 'export-manifest.tgz')))
    expect(manifest).toMatchObject({ entity: 'localhost', createdAt: 1_795_247_202_180 })
    expect(manifest?.media).toHaveLength(6)
    expect(manifest?.media[2]).toEqual({
      origin: 'localhost',
      mediaId: 'CbCdEfGhIjKlMnOpQrStUvWx',
      name: '☕ loop.gif',
      fileName: 'localhost__CbCdEfGhIjKlMnOpQrStUvWx.gif',
      size: 1599,
      contentType: 'image/gif',
      s3Url: '',
      sha256: '102376019d88b1575188ad94c63cd415d88fc3f8292f4ffa161ec6943f0687d5',
      createdAt: 1_600_000_002_000,
      uploader: '@bob:localhost',
    })
    const files = await hashesIn(MMR, [partName(1), partName(2)])
    expect(files).toEqual(new Map(manifest?.media.map(({ fileName, sha256 }) => [fileName, sha256])))
  })

  test('is what we write of the same media, but for the page for people and how the numbers in tar headers are padded', async () => {
    await using folder = await temporaryFolder()
    const manifest = await wholeManifest(createReadStream(join(MMR, 'export-manifest.tgz')))
    const bytes = await bytesIn(MMR, [partName(1), partName(2)])
    const media = (manifest?.media ?? []).map((one) => archivable(one, bytes.get(one.fileName) ?? Buffer.alloc(0)))
    await write(folder.path, media, { entity: 'localhost', createdAt: 1_795_247_202_180, targetBytes: 43_000 })
    expect((await readdir(folder.path)).sort()).toEqual((await readdir(MMR)).sort())
    for (const name of await readdir(MMR)) {
      const theirs = await readFile(join(MMR, name))
      const ours = await readFile(join(folder.path, name))
      // Header of gzip with the name inside.
      const header = 10 + name.length + 1
      expect(ours.subarray(0, 8)).toEqual(theirs.subarray(0, 8))
      expect(ours.subarray(9, header)).toEqual(theirs.subarray(9, header))
      expect(entriesOf(gunzipSync(ours))).toEqual(entriesOf(gunzipSync(theirs)))
    }
  })
})

describe('an archive of ours', () => {
  test('has parts of the wanted size, the time of upload at each file, and nothing that is no media', async () => {
    await using folder = await temporaryFolder()
    const media = many(7, 3000)
    await write(folder.path, media, { targetBytes: 7000 })
    expect((await readdir(folder.path)).sort()).toEqual([
      'export-manifest.tgz',
      'export-part-1.tgz',
      'export-part-2.tgz',
      'export-part-3.tgz',
      'export-part-4.tgz',
    ])
    const tar = entriesOf(gunzipSync(await readFile(join(folder.path, partName(1)))))
    expect(tar.map(({ name, mtime }) => [name, mtime])).toEqual([
      ['example.org__media0', 1_600_000_000],
      ['example.org__media1', 1_600_000_001],
    ])
  })

  test('leaves out what is quarantined, lost or damaged, and says so', async () => {
    await using folder = await temporaryFolder()
    const [first, second, third, fourth, fifth] = many(5, 100)
    if (!first || !second || !third || !fourth || !fifth) throw new Error('five')
    const media: Archivable[] = [
      { at: first.at, media: first.media, leftOut: 'quarantined' },
      { ...second, open: () => Promise.resolve(undefined) },
      { ...third, open: () => opened(Buffer.alloc(99)) },
      { ...fourth, open: () => opened(Buffer.alloc(100)) },
      fifth,
    ]
    await write(folder.path, media, {})
    const manifest = await wholeManifest(createReadStream(join(folder.path, 'export-manifest.tgz')))
    expect(manifest?.media.map(({ mediaId }) => mediaId)).toEqual(['media4'])
    const page = (await bytesIn(folder.path, ['export-manifest.tgz'])).get('index.html')?.toString()
    expect(page).toContain(
      'Not in this archive: 1 quarantined by the administrators, 1 lost on the server, 2 damaged on the server.',
    )
  })

  test('is gone on with where it was broken off, and comes out as if it had not been', async () => {
    await using whole = await temporaryFolder()
    await using broken = await temporaryFolder()
    const media = many(9, 3000)
    await write(whole.path, media, { targetBytes: 5000 })
    const dying = media.map((one, index) =>
      index < 5 ? one : { ...one, open: () => Promise.reject(new Error('the disk broke')) },
    )
    await expect(write(broken.path, dying, { targetBytes: 5000 })).rejects.toThrow('the disk broke')
    const opens: string[] = []
    const counting = media.map((one) => ({ ...one, open: () => (opens.push(one.at), one.open()) }))
    await write(broken.path, counting, { targetBytes: 5000, now: 2_000_000_000_000 })
    expect(opens).toEqual(['4', '5', '6', '7', '8'])
    for (const name of await readdir(whole.path)) {
      expect(await readFile(join(broken.path, name))).toEqual(await readFile(join(whole.path, name)))
    }
    expect(await readdir(broken.path)).toHaveLength((await readdir(whole.path)).length)
  })

  test('has the media whose names have line separators in them, and all others', async () => {
    await using folder = await temporaryFolder()
    const names = ['a\u2028b', 'c\u2029d', 'e\r\nf', '\ud800', 'last']
    const media = many(names.length, 10).map((one, index) => ({
      ...one,
      media: { ...one.media, name: names[index] ?? '' },
    }))
    await write(folder.path, media, {})
    const manifest = await wholeManifest(createReadStream(join(folder.path, 'export-manifest.tgz')))
    expect(manifest?.media.map(({ name }) => name)).toEqual(names)
  })

  test('is not written over another one', async () => {
    await using folder = await temporaryFolder()
    await write(folder.path, many(1, 10), {})
    await expect(write(folder.path, many(1, 10), {})).rejects.toThrow('has an archive in it already')
  })

  test('takes a file of 150 MB through without having it in memory', async () => {
    await using folder = await temporaryFolder()
    const chunk = randomBytes(1024 * 1024)
    const hash = createHash('sha256')
    for (let n = 0; n < 150; n++) hash.update(chunk)
    const [small] = many(1, 1)
    if (!small) throw new Error('one')
    const media = { ...small.media, size: 150 * chunk.length, sha256: hash.digest('hex') }
    const read = async function* () {
      for (let n = 0; n < 150; n++) yield chunk
    }
    const open = () => Promise.resolve({ size: media.size, read, async [Symbol.asyncDispose]() {} })
    const before = process.memoryUsage.rss()
    let most = 0
    const watch = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 20)
    await write(folder.path, [{ at: '0', media, open }], {})
    expect(await hashesIn(folder.path, [partName(1)])).toEqual(new Map([['example.org__media0', media.sha256]]))
    clearInterval(watch)
    expect(most - before).toBeLessThan(100 * 1024 * 1024)
  })
})

type Opened = Extract<Archivable, { open: unknown }>

const opened = (bytes: Buffer) =>
  Promise.resolve({
    size: bytes.length,
    async *read() {
      yield* pieces(bytes)
    },
    async [Symbol.asyncDispose]() {},
  })

function many(count: number, size: number): readonly Opened[] {
  return Array.from({ length: count }, (_, index) => {
    const bytes = Buffer.alloc(size, index + 1)
    const about = {
      name: `file ${index}`,
      contentType: 'image/png',
      size: 0,
      s3Url: '',
      uploader: '@alice:example.org',
    }
    const media = {
      origin: 'example.org',
      mediaId: `media${index}`,
      createdAt: 1_600_000_000_000 + index * 1000,
      ...about,
    }
    return archivable({ ...media, sha256: undefined }, bytes, String(index))
  })
}

function archivable(
  media: Omit<Archivable['media'], 'sha256'> & { readonly sha256: string | undefined },
  bytes: Buffer,
  at = media.mediaId,
): Opened {
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  return { at, media: { ...media, sha256, size: bytes.length }, open: () => opened(bytes) }
}

interface Writing {
  readonly entity?: string
  readonly createdAt?: number
  readonly now?: number
  readonly targetBytes?: number
}

async function write(folder: string, media: readonly Archivable[], { entity = 'example.org', ...more }: Writing) {
  using place = await folderPlace(folder, entity, more.createdAt ?? more.now ?? 1_700_000_000_000)
  const behind = async function* (after: string | undefined) {
    yield* media.slice(media.findIndex(({ at }) => at === after) + 1)
  }
  const { signal } = new AbortController()
  const { createdAt } = place
  await writeArchive(place, behind, { entity, createdAt, targetBytes: more.targetBytes ?? 200_000_000, signal })
}

async function bytesIn(folder: string, names: readonly string[]): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>()
  for (const name of names) {
    for await (const entry of readEntries(createReadStream(join(folder, name)))) {
      const chunks: Uint8Array[] = []
      for await (const chunk of entry.bytes) chunks.push(chunk)
      found.set(entry.name, Buffer.concat(chunks))
    }
  }
  return found
}

async function hashesIn(folder: string, names: readonly string[]): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (const name of names) {
    for await (const entry of readEntries(createReadStream(join(folder, name)))) {
      const hash = createHash('sha256')
      for await (const chunk of entry.bytes) hash.update(chunk)
      found.set(entry.name, hash.digest('hex'))
    }
  }
  return found
}

interface TarEntry {
  readonly name: string
  readonly mode: number
  readonly mtime: number | undefined
  readonly type: string
  readonly bytes: string | undefined
}

/** What a tar says, read without any library; of the page for people only that it is there. */
function entriesOf(tar: Buffer): readonly TarEntry[] {
  const entries: TarEntry[] = []
  for (let at = 0; tar[at] !== 0 && at < tar.length;) {
    const text = (start: number, length: number) =>
      tar.toString('latin1', at + start, at + start + length).split('\0', 1)[0] ?? ''
    const size = Number.parseInt(text(124, 12), 8)
    const name = text(0, 100)
    const isPage = name === 'index.html'
    const isManifest = name === 'manifest.json'
    const bytes = isPage ? undefined : tar.toString('latin1', at + 512, at + 512 + size)
    expect(text(257, 6)).toBe('ustar')
    entries.push({
      name,
      mode: Number.parseInt(text(100, 8), 8),
      mtime: isPage || isManifest ? undefined : Number.parseInt(text(136, 12), 8),
      type: text(156, 1),
      bytes,
    })
    at += 512 + Math.ceil(size / 512) * 512
  }
  return entries
}
