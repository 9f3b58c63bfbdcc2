import { Buffer } from 'node:buffer'
import { readdir } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { pieces, tarOf } from '../../test/support/archives.ts'
import { temporaryFolder } from '../../test/support/folder.ts'
import { countEntries, manifestIn, planArchive } from './archive-plan.ts'

const MANIFEST = JSON.stringify({ version: 2, entity_id: 'a.org', created_ts: 1, media: {} })

test('Going through an archive ends where it is stopped, and leaves nothing behind', async () => {
  await using folder = await temporaryFolder()
  const stopping = new AbortController()
  const { signal } = stopping
  const whole = await tarOf([{ name: 'manifest.json' }, Buffer.from(MANIFEST)], [{ name: 'a.org__x' }])
  const file = { name: 'all.tgz', open: () => pieces(whole) }
  const reading = { temporary: folder.path, signal }
  expect(await countEntries(file, signal)).toBe(1)
  const manifest = await manifestIn([file], reading)
  if (!manifest) throw new Error('there is a manifest')
  stopping.abort(new Error('Ctrl-C'))
  await expect(planArchive(manifest, [file], signal)).rejects.toThrow('Ctrl-C')
  // It took the manifest with it.
  expect(() => manifest.index.page(undefined, 1)).toThrow('statement has been finalized')
  await expect(manifestIn([file], reading)).rejects.toThrow('Ctrl-C')
  await expect(countEntries(file, signal)).rejects.toThrow('Ctrl-C')
  expect(await readdir(folder.path)).toEqual([])
})
