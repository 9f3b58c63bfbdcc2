import { Buffer } from 'node:buffer'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { pieces, tarOf } from '../../test/support/archives.ts'
import { temporaryFolder } from '../../test/support/folder.ts'
import { type ArchivePlan, manifestIn, planArchive } from './archive-plan.ts'
import { recordsOf } from './archive.ts'

const COUNT = 100
const { signal } = new AbortController()
const uploaderOf = (number: number) => (number % 10 === 3 ? '@bob:a.org' : '@alice:a.org')

/** Of a hundred media: those with odd numbers have a file, the last first. */
async function planned(folder: string, lacking = 0): Promise<ArchivePlan> {
  const members = Array.from({ length: COUNT }, (_, n) => [
    `mxc://a.org/${n}`,
    {
      file_name: `file ${n}`,
      size_bytes: 1,
      origin: 'a.org',
      media_id: String(n),
      created_ts: n,
      uploader: uploaderOf(n),
    },
  ])
  const manifest = { version: 2, entity_id: 'a.org', created_ts: 1, media: Object.fromEntries(members) }
  const odd = Array.from({ length: COUNT / 2 - lacking }, (_, n) => COUNT - 1 - 2 * n)
  const whole = await tarOf(
    [{ name: 'manifest.json' }, Buffer.from(JSON.stringify(manifest))],
    ...odd.map((n) => [{ name: `file ${n}` }, Buffer.from('x')] as const),
  )
  const files = [{ name: 'all.tgz', open: () => pieces(whole) }]
  const found = await manifestIn(files, { temporary: folder, signal })
  if (!found) throw new Error('there is a manifest')
  return await planArchive(found, files, signal)
}

const records = (plan: ArchivePlan, only?: string) =>
  recordsOf(plan, { isOurs: () => true, isFrozen: () => false, only })

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let plan: ArchivePlan
beforeAll(async () => {
  folder = await temporaryFolder()
  plan = await planned(folder.path)
})
afterAll(async () => {
  plan[Symbol.dispose]()
  await folder[Symbol.asyncDispose]()
})

test.for([undefined, '@bob:a.org', 'a.org', '@eve:a.org'])(
  'The records of %s come in the order of their files, once each, wherever one goes on',
  async (only) => {
    const source = records(plan, only)
    const numbers = Array.from({ length: COUNT }, (_, n) => n)
    const ordered = [...numbers.filter((n) => n % 2 === 1).toReversed(), ...numbers.filter((n) => n % 2 === 0)]
    const wanted = ordered.filter((n) => only === undefined || only === 'a.org' || uploaderOf(n) === only).map(String)
    expect(await source.count()).toBe(wanted.length)
    for (const limit of [1, 7, 1000]) {
      const got: string[] = []
      for (let after: string | undefined; ;) {
        const page = await source.page(after, limit)
        expect(page.length).toBeLessThanOrEqual(limit)
        if (page.length === 0) break
        after = page.at(-1)?.at
        got.push(...page.map((row) => ('record' in row ? row.record.mediaId : '')))
      }
      expect(got).toEqual(wanted)
    }
  },
)

test('An import goes on with another one only if both mean the same by a place', async () => {
  using same = await planned(folder.path)
  using other = await planned(folder.path, 1)
  expect(records(same).name).toBe(records(plan).name)
  expect(records(same, '@bob:a.org').name).not.toBe(records(plan).name)
  expect(records(other).name).not.toBe(records(plan).name)
  expect(records(other).name).toMatch(/^archive a\.org [0-9a-f]{16}$/)
})
