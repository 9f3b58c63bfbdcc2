import { describe, expect, test } from 'vitest'
import type { Database } from '../../../src/db/connect.ts'
import { takeLease } from '../../../src/db/leases.ts'
import { commitMedia, findMedia } from '../../../src/db/media.ts'
import { deleteMedia } from '../../../src/db/deletion.ts'
import { quarantineContent } from '../../../src/db/moderation.ts'
import {
  countPreviews,
  listPreviews,
  purgePreviews,
  siteOf,
  sweepFailedPreviews,
} from '../../../src/db/preview-purges.ts'
import {
  type CommittedPreview,
  commitPreview,
  findFresh,
  findPast,
  hourOf,
  type OfferedPicture,
} from '../../../src/db/previews.ts'
import { usageOf } from '../../../src/db/usage.ts'
import { found, many, media, NOW, object, objects, type OpenDatabase } from './support.ts'

const HOUR = 3_600_000
const ORIGIN = 'example.org'

export function previewsContract(open: OpenDatabase): void {
  describe('Previews', () => {
    test('are found for as long as they hold, in their language, by their homeserver', async () => {
      await using under = await open()
      const { db } = under
      const one = preview()
      expect(await db.write(commitPreview, one)).toEqual({ outcome: 'stored' })
      const { homeserver, urlHash, language } = one
      const key = { homeserver, urlHash, language }
      const { answer, createdAt, expiresAt } = one
      const times = { hour: NOW, createdAt, usedAt: createdAt, expiresAt }
      const record = { answer, error: null, ...times, picture: null }
      expect(await findFresh(db.read, { ...key, now: NOW + HOUR - 1 })).toEqual(record)
      expect(await findFresh(db.read, { ...key, now: NOW + HOUR })).toBeUndefined()
      expect(await findFresh(db.read, { ...key, language: 'de', now: NOW })).toBeUndefined()
      expect(await findFresh(db.read, { ...key, homeserver: 'other.org', now: NOW })).toBeUndefined()
    })

    test('of one hour are made once; those of later hours stand beside them', async () => {
      await using under = await open()
      const { db } = under
      expect(await db.write(commitPreview, preview({ answer: '"first"' }))).toEqual({ outcome: 'stored' })
      expect(await db.write(commitPreview, preview({ answer: '"second"' }))).toEqual({ outcome: 'known' })
      expect(await fresh(db, NOW)).toBe('"first"')
      await db.write(commitPreview, later(1, { answer: '"third"' }))
      expect(await fresh(db, NOW + HOUR)).toBe('"third"')
      expect(await countPreviews(db.read, {})).toBe(2)
    })

    test('take the place of a failure, and no failure takes theirs', async () => {
      await using under = await open()
      const { db } = under
      const failure = { answer: null, error: '{}', previewer: null, expiresAt: NOW + 1000 }
      await db.write(commitPreview, preview(failure))
      expect(await fresh(db, NOW)).toBeNull()
      expect(await db.write(commitPreview, preview())).toEqual({ outcome: 'stored' })
      expect(await db.write(commitPreview, preview(failure))).toEqual({ outcome: 'known' })
      expect(await fresh(db, NOW)).toBe('{}')
    })

    test('of the past are the last that held then, or else the first that was made since', async () => {
      await using under = await open()
      const { db } = under
      await db.write(commitPreview, later(2, { answer: '"early"' }))
      await db.write(commitPreview, later(5, { answer: '"late"', expiresAt: NOW + 9 * HOUR }))
      await db.write(commitPreview, later(7, { answer: null, error: '{}' }))
      const at = async (hours: number) => {
        const { homeserver, urlHash, language } = preview()
        const hour = hourOf(NOW + hours * HOUR)
        return (await findPast(db.read, { homeserver, urlHash, language, hour }))?.answer
      }
      expect(await at(1)).toBe('"early"')
      expect(await at(2)).toBe('"early"')
      expect(await at(4), 'the early one did not hold any more').toBe('"late"')
      expect(await at(8), 'the late one held for four hours; what failed since is nothing').toBe('"late"')
      expect(await at(9)).toBeUndefined()
    })

    test('whose lease has gone to another instance are not written down', async () => {
      await using under = await open()
      const { db } = under
      const lease = { name: 'preview x', token: 'ours' }
      expect(await db.write(commitPreview, preview({ lease }))).toEqual({ outcome: 'lease_lost' })
      await db.write(takeLease, { ...lease, ms: 60_000 })
      expect(await db.write(commitPreview, preview({ lease }))).toEqual({ outcome: 'stored' })
    })

    test('share a picture and its name, which counts to nobody', async () => {
      await using under = await open()
      const { db } = under
      const first = await db.write(commitPreview, preview({ picture: picture('one') }))
      expect(first).toMatchObject({ outcome: 'stored', object: { isNew: true } })
      const again = { ...picture('two'), object: found(picture('one').object) }
      await db.write(commitPreview, later(1, { picture: again }))
      const names = await db.read.selectFrom('media').select(['media_id', 'kind', 'uploader']).execute()
      expect(names).toEqual([{ media_id: 'one', kind: 'preview', uploader: null }])
      const rows = await listPreviews(db.read, {}, { from: 0, limit: 10 })
      expect(rows.map((row) => row.picture)).toEqual(['one', 'one'])
      expect(await usageOf(db.read, `server:${ORIGIN}`)).toEqual({ bytes: 100, files: 1 })
      expect(await usageOf(db.read, 'user:null')).toEqual({ bytes: 0, files: 0 })
    })

    test('use content that somebody has uploaded under a name of their own', async () => {
      await using under = await open()
      const { db } = under
      const upload = media()
      await db.write(commitMedia, upload)
      await db.write(commitPreview, preview({ picture: { ...picture('own'), object: found(upload.object) } }))
      expect(await findMedia(db.read, ORIGIN, 'own')).toMatchObject({ kind: 'preview', sha256: upload.object.sha256 })
      await db.write(purgePreviews, { filter: {}, at: NOW, limit: 10 })
      expect(await findMedia(db.read, ORIGIN, 'own')).toBeUndefined()
      expect(await findMedia(db.read, ORIGIN, upload.mediaId)).toBeDefined()
    })

    test('lose their picture when that is quarantined or deleted, and new ones do not get it', async () => {
      await using under = await open()
      const { db } = under
      await db.write(commitPreview, preview({ picture: picture('one') }))
      const { sha256 } = picture('one').object
      expect(await freshPicture(db)).toEqual({ mediaId: 'one', sha256, quarantined: false })
      await db.write(quarantineContent, { sha256, origin: null, at: NOW })
      expect(await freshPicture(db)).toEqual({ mediaId: 'one', sha256, quarantined: true })
      const offered = { ...picture('two'), object: found(picture('one').object) }
      expect(await db.write(commitPreview, later(1, { picture: offered }))).toEqual({ outcome: 'blocked' })
      await db.write(deleteMedia, { origin: ORIGIN, mediaId: 'one', at: NOW })
      expect(await freshPicture(db)).toBeNull()
      const fresh = { ...picture('three'), object: object('a picture', 'elsewhere') }
      expect(await db.write(commitPreview, later(1, { picture: fresh }))).toEqual({ outcome: 'blocked' })
      expect(await objects(db)).toEqual([])
    })

    test('are removed with the pictures that only they showed', async () => {
      await using under = await open()
      const { db } = under
      await db.write(commitPreview, preview({ picture: picture('one') }))
      const again = { ...picture('x'), object: found(picture('one').object) }
      await db.write(commitPreview, later(1, { picture: again }))
      const before = { filter: { before: NOW + 1 }, at: NOW, limit: 10 }
      expect(await db.write(purgePreviews, before)).toEqual({ removed: 1, pictures: [], unused: [] })
      const { sha256 } = picture('one').object
      const rest = await db.write(purgePreviews, { ...before, filter: {} })
      expect(rest).toMatchObject({ removed: 1, pictures: [sha256], unused: [{ sha256 }] })
      expect(await findMedia(db.read, ORIGIN, 'one')).toBeUndefined()
      expect(await objects(db)).toEqual([])
      const kept = await db.read.selectFrom('deleted_media').selectAll().execute()
      expect(kept, 'names of such pictures are not remembered').toEqual([])
    })

    test('are removed by address, by domain and by age, so many at a time', async () => {
      await using under = await open()
      const { db } = under
      const hosts = ['example.com', 'www.example.com', 'a.b.example.com', 'notexample.com', 'example.com.evil.net']
      for (const [index, host] of hosts.entries()) {
        await db.write(commitPreview, preview({ urlHash: host, site: siteOf(host), createdAt: NOW + index }))
      }
      const site = siteOf('Example.com.')
      expect(await countPreviews(db.read, { site })).toBe(3)
      expect(await countPreviews(db.read, { urlHash: 'notexample.com' })).toBe(1)
      expect(await countPreviews(db.read, { before: NOW + 2 })).toBe(2)
      const listed = await listPreviews(db.read, { site }, { from: 1, limit: 1 })
      expect(listed.map((row) => row.urlHash)).toEqual(['www.example.com'])
      const purged = [2, 2, 2].map(() => ({ filter: { site }, at: NOW, limit: 2 }))
      const counts: number[] = []
      for (const args of purged) counts.push((await db.write(purgePreviews, args)).removed)
      expect(counts).toEqual([2, 1, 0])
      expect(await countPreviews(db.read, {})).toBe(2)
    })

    test('that failed are forgotten when they are over', async () => {
      await using under = await open()
      const { db } = under
      await db.write(commitPreview, preview({ answer: null, error: '{}', expiresAt: NOW + 1000 }))
      await db.write(commitPreview, later(1))
      expect(await db.write(sweepFailedPreviews, { before: NOW + 1000, limit: 10 })).toBe(0)
      expect(await db.write(sweepFailedPreviews, { before: NOW + 9 * HOUR, limit: 10 })).toBe(1)
      expect(await countPreviews(db.read, {})).toBe(1)
    })

    test('made and removed by several at once never show a picture that is gone', async () => {
      await using under = await open()
      await using another = await under.another()
      const dbs = [under.db, another]
      await under.db.write(commitPreview, preview({ urlHash: 'before', picture: picture('one') }))
      const work = many(40, async (index) => {
        const db = dbs[index % 2] ?? under.db
        if (index % 4 === 1) return await db.write(purgePreviews, { filter: {}, at: NOW, limit: 10 })
        const offered = { ...picture(`name${index}`), object: object('a picture', `at ${index}`) }
        return await db.write(commitPreview, preview({ urlHash: `hash${index}`, picture: offered }))
      })
      await Promise.all(work)
      const rows = await listPreviews(under.db.read, {}, { from: 0, limit: 100 })
      const names = await under.db.read.selectFrom('media').select('media_id').execute()
      expect(names.length).toBe(new Set(rows.map((row) => row.picture)).size)
      for (const row of rows) expect(await findMedia(under.db.read, ORIGIN, row.picture ?? '')).toBeDefined()
    })
  })
}

function preview(changes: Partial<CommittedPreview> = {}): CommittedPreview {
  return {
    homeserver: ORIGIN,
    urlHash: 'hash',
    language: 'en',
    url: 'https://example.com/',
    site: siteOf('example.com'),
    answer: '{}',
    error: null,
    previewer: 'opengraph',
    picture: null,
    createdAt: NOW,
    expiresAt: NOW + HOUR,
    lease: null,
    ...changes,
  }
}

function later(hours: number, changes: Partial<CommittedPreview> = {}): CommittedPreview {
  const createdAt = NOW + hours * HOUR
  return preview({ createdAt, expiresAt: createdAt + HOUR, ...changes })
}

function picture(mediaId: string): OfferedPicture {
  return { mediaId, contentType: 'image/png', authenticated: true, object: object('a picture') }
}

async function fresh(db: Database, now: number): Promise<string | null | undefined> {
  const { homeserver, urlHash, language } = preview()
  return (await findFresh(db.read, { homeserver, urlHash, language, now }))?.answer
}

async function freshPicture(db: Database) {
  const { homeserver, urlHash, language } = preview()
  return (await findFresh(db.read, { homeserver, urlHash, language, now: NOW }))?.picture
}
