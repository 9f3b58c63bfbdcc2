import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../../test/support/folder.ts'
import { describeWith } from '../../test/support/services.ts'
import { startSmallDisk } from '../../test/support/small-disk.ts'
import { ArchiveIndex, type IndexedMedia, type IndexPage } from './archive-index.ts'

const media = (mediaId: string, changes: Partial<IndexedMedia> = {}): IndexedMedia => ({
  origin: 'example.org',
  mediaId,
  uploader: '@alice:example.org',
  name: '',
  contentType: 'text/plain',
  createdAt: 1_600_000_000_000,
  size: 10,
  sha256: undefined,
  s3Url: '',
  fileName: `file-${mediaId}`,
  ...changes,
})

const file = (mediaId: string, size = 10) => ({ name: `file-${mediaId}`, size })

/** All of them in their order, in pages of two: `a0` has its file in part 0, `b-` in none. */
function inOrder(index: ArchiveIndex): string[] {
  const all: string[] = []
  for (let at: IndexPage['next'], isFirst = true; at || isFirst; isFirst = false) {
    const page = index.page(at, 2)
    all.push(...page.media.map(({ mediaId, part }) => `${mediaId}${part ?? '-'}`))
    at = page.next
  }
  return all
}

test('Media come in the order of their files, several of one file together, and those without a file at the end', async () => {
  await using folder = await temporaryFolder()
  using index = ArchiveIndex.open(folder.path)
  index.add([media('a'), media('b'), media('c', { fileName: 'file-b' }), media('d'), media('e'), media('f')])
  index.add([media('g', { fileName: 'file-b' }), media('h', { fileName: 'file-b', size: 11 }), media('i')])
  expect([index.media, index.bytes, index.found, index.lacking]).toEqual([9, 91, 0, 7])
  expect(inOrder(index)).toEqual(['a-', 'b-', 'c-', 'd-', 'e-', 'f-', 'g-', 'h-', 'i-'])
  expect(index.foundFile(file('e'), 0)).toBe('new')
  expect(index.foundFile(file('b'), 0)).toBe('new')
  expect(index.foundFile(file('a'), 1)).toBe('new')
  expect([index.media, index.found, index.lacking]).toEqual([9, 5, 4])
  expect(inOrder(index)).toEqual(['e0', 'b0', 'c0', 'g0', 'a1', 'd-', 'f-', 'h-', 'i-'])
  expect([...index.ofFile(file('b'), 2)].map((page) => page.map(({ mediaId }) => mediaId))).toEqual([['b', 'c'], ['g']])
  expect([...index.withoutFile(2)].flat().map(({ mediaId }) => mediaId)).toEqual(['d', 'f', 'h', 'i'])
  for (const one of ['d', 'f', 'i']) index.foundFile(file(one), 2)
  index.foundFile(file('b', 11), 2)
  expect(inOrder(index)).toEqual(['e0', 'b0', 'c0', 'g0', 'a1', 'd2', 'f2', 'i2', 'h2'])
  expect([index.found, index.lacking]).toEqual([9, 0])
})

test('Of two files of one name and size the later counts; one of another size, and one that nobody names, do not', async () => {
  await using folder = await temporaryFolder()
  using index = ArchiveIndex.open(folder.path)
  index.add([media('a'), media('b')])
  expect(index.foundFile(file('a'), 0)).toBe('new')
  expect(index.foundFile(file('b'), 1)).toBe('new')
  expect(index.foundFile(file('a'), 2)).toBe('again')
  expect(index.foundFile(file('a', 9), 3)).toBe('of another size')
  expect(index.foundFile(file('x'), 3)).toBe('unnamed')
  expect(inOrder(index)).toEqual(['a2', 'b1'])
  expect([index.found, index.lacking]).toEqual([2, 0])
})

test('A media is found by its name, as it was added; a name is there once', async () => {
  await using folder = await temporaryFolder()
  using index = ArchiveIndex.open(folder.path)
  const odd = media('a', {
    name: 'n\0ot "plain"\u2028🎉',
    sha256: 'ab',
    createdAt: 2 ** 53 - 1,
    s3Url: 'https://x/y/z',
  })
  expect(index.add([odd, media('b', { origin: 'other.example', uploader: '' })])).toBeUndefined()
  expect(index.find({ origin: 'example.org', mediaId: 'a' })).toMatchObject(odd)
  expect(index.find({ origin: 'example.org', mediaId: 'b' })).toBeUndefined()
  expect([index.countOf('@alice:example.org'), index.countOf('other.example')]).toEqual([1, 1])
  const twice = media('a', { size: 5, fileName: 'another' })
  expect(index.add([media('c'), twice, media('d')])).toBe(twice)
  expect(index.find(twice)?.size).toBe(10)
})

test('Nothing of it is left, in whatever way its process ends: its file has no name while it is in use', async () => {
  await using folder = await temporaryFolder()
  const below = join(folder.path, 'made', 'for it')
  {
    using index = ArchiveIndex.open(below)
    for (let n = 0; n < 1000; n++) index.add([media(String(n))])
    expect(await readdir(below)).toEqual([])
    using another = ArchiveIndex.open(below)
    expect([index.media, another.media]).toEqual([1000, 0])
  }
  expect(await readdir(below)).toEqual([])
  const inFile = await folder.write('file', '')
  expect(() => ArchiveIndex.open(inFile)).toThrow(
    /file\/archive-.*\.sqlite, which is for what an archive names, cannot be used: /,
  )
})

describeWith('mount', 'A disk that is full', () => {
  test('is told with its place', async () => {
    await using disk = await startSmallDisk(1024 * 1024)
    using index = ArchiveIndex.open(disk.path)
    const fill = () => {
      for (let n = 0; n < 1_000_000; n++) index.add([media(String(n), { name: 'x'.repeat(4000) })])
    }
    expect(fill).toThrow(
      expect.objectContaining({ name: 'StorageUnavailable', message: expect.stringContaining(disk.path) }),
    )
  })
})
