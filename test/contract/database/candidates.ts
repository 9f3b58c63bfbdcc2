import { describe, expect, test } from 'vitest'
import { type Candidate, leastRecentlyUsed, oldest, quarantined, START } from '../../../src/db/candidates.ts'
import type { Database } from '../../../src/db/connect.ts'
import { commitMedia, touchMedia } from '../../../src/db/media.ts'
import type { MediaKind } from '../../../src/db/schema.ts'
import { found, many, media, NOW, object, type OpenDatabase, quarantine, table } from './support.ts'

export function candidatesContract(open: OpenDatabase): void {
  describe('what may have to go is found', () => {
    test('by last use, the least recently used first, one kind at a time', async () => {
      await using under = await open()
      const { db } = under
      for (const [age, mediaId] of ['newest', 'middle', 'oldest'].entries())
        await add(db, { mediaId, kind: 'remote', origin: 'other.org', createdAt: NOW - age * 1000 })
      await add(db, { mediaId: 'ours', kind: 'upload', createdAt: NOW - 9000 })
      await db.write(touchMedia, [{ origin: 'other.org', mediaId: 'oldest', at: NOW + 5000 }])
      expect(await idsOf(leastRecentlyUsed(db.read, page('remote')))).toEqual(['middle', 'newest', 'oldest'])
      expect(await idsOf(leastRecentlyUsed(db.read, { ...page('remote'), before: NOW }))).toEqual(['middle'])
      expect(await idsOf(leastRecentlyUsed(db.read, page('upload')))).toEqual(['ours'])
    })

    test('by when it was made, where nobody knows when it was used', async () => {
      await using under = await open()
      await add(under.db, { mediaId: 'read', kind: 'remote', createdAt: NOW - 1000 })
      await add(under.db, { mediaId: 'never', kind: 'remote', createdAt: NOW - 2000 })
      await under.execute(`UPDATE ${table(under.db, 'media')} SET accessed_at = NULL WHERE media_id = 'never'`)
      const first = await leastRecentlyUsed(under.db.read, { ...page('remote'), limit: 1 })
      expect(first).toEqual([{ origin: 'example.org', mediaId: 'never', at: NOW - 2000 }])
    })

    test('by last use, but not what is quarantined: it would be fetched again', async () => {
      await using under = await open()
      for (const mediaId of ['bad', 'good']) await add(under.db, { mediaId, kind: 'remote' })
      await quarantine(under, 'bad')
      expect(await idsOf(leastRecentlyUsed(under.db.read, page('remote')))).toEqual(['good'])
    })

    test('by age, one server at a time, the oldest first', async () => {
      await using under = await open()
      const { db } = under
      for (const [age, mediaId] of ['new', 'old', 'ancient'].entries())
        await add(db, { mediaId, createdAt: NOW - age * 1000 })
      await add(db, { mediaId: 'elsewhere', origin: 'other.org', createdAt: NOW - 9000 })
      expect(await idsOf(oldest(db.read, { ...page(), origin: 'example.org' }))).toEqual(['ancient', 'old', 'new'])
      expect(await idsOf(oldest(db.read, { ...page(), origin: 'example.org', before: NOW }))).toEqual([
        'ancient',
        'old',
      ])
    })

    test('because it is quarantined', async () => {
      await using under = await open()
      for (const mediaId of ['bad', 'good']) await add(under.db, { mediaId })
      await quarantine(under, 'bad')
      expect(await idsOf(quarantined(under.db.read, page()))).toEqual(['bad'])
    })

    test('page by page, without one twice or left out, also where many came at the same moment', async () => {
      await using under = await open()
      const { db } = under
      const ids = many(23, (index) => `m${String(index).padStart(2, '0')}`)
      for (const [index, mediaId] of ids.entries()) {
        const origin = index % 2 ? 'a.org' : 'b.org'
        const content = index === 0 ? object('shared') : found(object('shared'))
        await add(db, { mediaId, kind: 'remote', origin, createdAt: NOW - (index % 4), object: content })
      }
      const used = await walk((after) => leastRecentlyUsed(db.read, { ...page('remote'), after, limit: 5 }))
      expect(used.toSorted()).toEqual(ids)
      const fromEach = ['a.org', 'b.org'].map((origin) =>
        walk((after) => oldest(db.read, { ...page(), after, limit: 3, origin })),
      )
      expect((await Promise.all(fromEach)).flat().toSorted()).toEqual(ids)
      await under.execute(`UPDATE ${table(db, 'media')} SET quarantined_at = ${NOW}`)
      const held = await walk((after) => quarantined(db.read, { ...page(), after, limit: 4 }))
      expect(held.toSorted()).toEqual(ids)
    })
  })
}

const page = <Kind extends MediaKind>(kind?: Kind) => ({
  kind: kind ?? ('upload' as const),
  before: NOW + 60_000,
  after: START,
  limit: 100,
})

async function add(db: Database, changes: Parameters<typeof media>[0]): Promise<void> {
  expect(await db.write(commitMedia, media({ uploader: null, ...changes }))).toMatchObject({ outcome: 'stored' })
}

async function idsOf(candidates: Promise<Candidate[]>): Promise<string[]> {
  return (await candidates).map(({ mediaId }) => mediaId)
}

/** All pages one after the other; each begins where the one before ended. */
async function walk(next: (after: Candidate) => Promise<Candidate[]>): Promise<string[]> {
  const ids: string[] = []
  for (let after: Candidate | undefined = START; after;) {
    const rows: Candidate[] = await next(after)
    ids.push(...rows.map(({ mediaId }) => mediaId))
    after = rows.at(-1)
  }
  return ids
}
