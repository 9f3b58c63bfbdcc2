import { expect, test } from 'vitest'
import { indexPage } from './index-page.ts'
import type { ArchivedFile } from './manifest.ts'

const ABOUT = { entity: 'example.org', createdAt: 1_600_000_000_000 }

async function* files(count: number): AsyncGenerator<ArchivedFile> {
  for (let n = 1; n <= count; n++) {
    const about = {
      uploader: '',
      name: `<${n}>`,
      contentType: '',
      createdAt: 1_600_000_000_000,
      size: n,
      sha256: '',
      s3Url: '',
    }
    yield { origin: 'example.org:8448', mediaId: `m${n}`, fileName: `example.org:8448__m${n}.txt`, ...about }
  }
}

async function pageOf(count: number): Promise<string> {
  const pieces: string[] = []
  for await (const piece of indexPage(ABOUT, files(count), { missing: 2 })) pieces.push(piece)
  return pieces.join('')
}

test('The page lists what is in the archive, with links to the files beside it, and says what is not in it', async () => {
  const page = await pageOf(2)
  expect(page).toContain('<a href="./example.org%3A8448__m2.txt">')
  expect(page).toContain('&lt;2&gt;')
  expect(page).toContain('mxc://example.org:8448/m2')
  expect(page).toContain('Not in this archive: 2 lost on the server.')
  expect(page).not.toContain('more are in this archive')
})

test('It lists as many as browsers can show, and says how many more there are', async () => {
  const page = await pageOf(100_003)
  expect(page.match(/<li>/g)).toHaveLength(100_000)
  expect(page).toContain('<p>3 more are in this archive: <a href="./manifest.json">manifest.json</a> names all.</p>')
})
