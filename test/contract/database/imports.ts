import { describe, expect, test } from 'vitest'
import { noteForeignPlaces } from '../../../src/db/foreign-places.ts'
import { forgetProblems, problemsOf } from '../../../src/db/import-problems.ts'
import { choreOf, commitImported, type ImportBatch, type PlacedName } from '../../../src/db/imports.ts'
import { findDeletedNames, findKnownNames } from '../../../src/db/known-names.ts'
import { commitMedia, findMedia } from '../../../src/db/media.ts'
import { namedLocations } from '../../../src/db/named-locations.ts'
import { progressOf } from '../../../src/db/progress.ts'
import { findProtection } from '../../../src/db/protection.ts'
import { quarantineChanges } from '../../../src/db/quarantine-changes.ts'
import { usageOf } from '../../../src/db/usage.ts'
import { found, many, media, NOW, object, objects, type OpenDatabase } from './support.ts'

const SOURCE = 'synapse example.org'
const FIRST = { origin: '', mediaId: '' }

export function importsContract(open: OpenDatabase): void {
  describe('An import', () => {
    test('brings names as they were, with what they add to usage, and how far it is', async () => {
      await using under = await open()
      const { db } = under
      const [own, other] = [placed({ mediaId: 'own' }), placed({ mediaId: 'other', ...REMOTE })]
      const problems = [{ origin: 'example.org', mediaId: 'gone', problem: 'missing', details: '' }]
      expect(await db.write(commitImported, batch({ names: [own, other], problems, to: 'half' }))).toEqual(STORED)

      expect(await findMedia(db.read, 'example.org', 'own')).toMatchObject({
        kind: 'upload',
        contentType: 'image/png',
        uploadName: 'käse.png',
        uploader: '@alice:example.org',
        createdAt: 1000,
        accessedAt: null,
        authenticatedAt: null,
        quarantinedAt: null,
        size: 100,
      })
      expect(await findMedia(db.read, 'remote.example', 'other')).toMatchObject({ kind: 'remote', uploader: null })
      expect(await usageOf(db.read, 'user:@alice:example.org')).toEqual({ bytes: 100, files: 1 })
      expect(await usageOf(db.read, 'remote')).toEqual({ bytes: 100, files: 1 })
      expect(await usageOf(db.read, 'datastore:main')).toEqual({ bytes: 200, files: 2 })
      expect(await progressOf(db.read, choreOf(SOURCE))).toBe('half')
      expect(await problemsOf(db.read, { source: SOURCE, after: FIRST, limit: 9 })).toEqual(problems)
      expect(await db.write(forgetProblems, { source: SOURCE, limit: 9 })).toBe(1)
      expect(await problemsOf(db.read, { source: SOURCE, after: FIRST, limit: 9 })).toEqual([])
    })

    test('that brings media of the future makes them of today', async () => {
      await using under = await open()
      const ahead = placed({ mediaId: 'ahead', createdAt: NOW + 9e12, authenticated: true })
      await under.db.write(commitImported, batch({ names: [ahead], to: 'all' }))
      expect(await findMedia(under.db.read, 'example.org', 'ahead')).toMatchObject({
        createdAt: NOW,
        authenticatedAt: NOW,
      })
    })

    test('of which two runs come to the same place changes something once', async () => {
      await using under = await open()
      const { db } = under
      expect(await db.write(commitImported, batch({ to: 'one' }))).toEqual(STORED)
      const late = batch({ names: [placed({ mediaId: 'late' })], to: 'another' })
      expect(await db.write(commitImported, late)).toEqual({ outcome: 'superseded' })
      expect(await findMedia(db.read, 'example.org', 'late')).toBeUndefined()
      expect(await objects(db)).toEqual([])
      expect(await db.write(commitImported, { ...late, from: 'one' })).toEqual(STORED)
    })

    test('that is done by several at once counts every name and every content once', async () => {
      await using under = await open()
      const dbs = [under.db, await under.another()]
      const names = many(40, (index) => placed({ mediaId: `m${index}`, object: object(`content ${index % 10}`) }))
      const runs = dbs.flatMap((db, run) =>
        many(3, (part) => db.write(commitImported, { ...batch({ names, to: 'x' }), source: `${run} ${part}` })),
      )
      expect((await Promise.all(runs)).map(({ outcome }) => outcome)).toEqual(many(6, () => 'stored'))
      expect(await usageOf(under.db.read, 'server:example.org')).toEqual({ bytes: 4000, files: 40 })
      expect(await usageOf(under.db.read, 'datastore:main')).toEqual({ bytes: 1000, files: 10 })
      await dbs[1]?.[Symbol.asyncDispose]()
    })

    test('gives back bytes that it put and no record names: copies of one content, and of what came first elsewhere', async () => {
      await using under = await open()
      const { db } = under
      const here = media({ mediaId: 'here', object: object('content') })
      await db.write(commitMedia, here)
      const names = [
        placed({ mediaId: 'a', object: object('content', 'put again') }),
        placed({ mediaId: 'b', object: object('new', 'first') }),
        placed({ mediaId: 'c', object: object('new', 'second') }),
        // The name came meanwhile, with other content.
        placed({ mediaId: 'here', object: object('other', 'nobody') }),
      ]
      const result = await db.write(commitImported, batch({ names }))
      if (result.outcome !== 'stored') throw new Error(result.outcome)
      expect(result.unused.map(({ location }) => location).toSorted()).toEqual(['first', 'nobody', 'put again'])
      expect((await objects(db)).map(({ location }) => location).toSorted()).toEqual(['at content', 'second'])
      expect((await findMedia(db.read, 'example.org', 'here'))?.sha256).toBe(here.object.sha256)
      expect(await usageOf(db.read, 'datastore:main')).toEqual({ bytes: 200, files: 2 })
    })

    test('says so, and changes nothing, when content that it found was deleted meanwhile', async () => {
      await using under = await open()
      const gone = found(object('gone'))
      const names = [placed({ mediaId: 'a', object: gone }), placed({ mediaId: 'b' })]
      const result = await under.db.write(commitImported, batch({ names }))
      expect(result).toEqual({ outcome: 'object_gone', sha256s: [gone.sha256] })
      expect(await progressOf(under.db.read, choreOf(SOURCE))).toBeUndefined()
      expect(await objects(under.db)).toEqual([])
    })

    test.for(['before', 'after'])(
      'quarantines all names of quarantined content that are not protected, also those that came %s it',
      async (order) => {
        await using under = await open()
        const { db } = under
        const content = object('abuse')
        const bad = placed({ mediaId: 'bad', quarantinedBy: '@admin:example.org', object: content })
        const others = [
          placed({ mediaId: 'copy', object: content }),
          placed({ mediaId: 'kept', object: content, isProtected: true }),
        ]
        const [first, second] = order === 'before' ? [others, [bad]] : [[bad], others]
        await db.write(commitImported, batch({ names: first, to: 'one' }))
        const names = second.map((name) => ({ ...name, object: found(content) }))
        const result = await db.write(commitImported, { ...batch({ names, to: 'two' }), from: 'one' })
        expect(result).toMatchObject({ outcome: 'stored', quarantined: [content.sha256] })
        const state = async (mediaId: string) => (await findMedia(db.read, 'example.org', mediaId))?.quarantinedAt
        expect([await state('bad'), await state('copy'), await state('kept')]).toEqual([NOW, NOW, null])
        expect((await findProtection(db.read, { origin: 'example.org', mediaId: 'kept' }))?.protectedAt).toBe(NOW)
        const changes = await quarantineChanges(db.read, { after: 0, limit: 9 })
        expect(changes.map(({ mediaId, quarantined }) => `${mediaId} ${quarantined}`).toSorted()).toEqual([
          'bad true',
          'copy true',
        ])
      },
    )

    test('brings names that are here up to date: quarantine, protection, last use, which never goes back', async () => {
      await using under = await open()
      const { db } = under
      const [one, two] = [media({ mediaId: 'one' }), media({ mediaId: 'two' })]
      for (const each of [one, two]) await db.write(commitMedia, each)
      const change = { origin: 'example.org', quarantinedBy: null, isProtected: false, accessedAt: null }
      const changes = [
        { ...change, mediaId: 'one', sha256: one.object.sha256, quarantinedBy: '@admin:example.org', accessedAt: 5 },
        { ...change, mediaId: 'two', sha256: two.object.sha256, isProtected: true, accessedAt: NOW + 5 },
      ]
      await db.write(commitImported, batch({ changes }))
      const known = await findKnownNames(db.read, [one, two])
      expect(known.toSorted((a, b) => (a.mediaId < b.mediaId ? -1 : 1))).toMatchObject([
        { mediaId: 'one', isQuarantined: true, isProtected: false, accessedAt: NOW },
        { mediaId: 'two', isQuarantined: false, isProtected: true, accessedAt: NOW + 5 },
      ])
    })

    test('knows which names must not come back: ours that were deleted, and others’ that were quarantined then', async () => {
      await using under = await open()
      const rows = [
        ['example.org', 'ours', 'upload', 'NULL'],
        ['remote.example', 'theirs', 'remote', 'NULL'],
        ['remote.example', 'blocked', 'remote', '1'],
      ]
      const table = under.db.engine === 'postgres' ? 'cellarium.deleted_media' : 'deleted_media'
      for (const [origin, id, kind, at] of rows) {
        await under.execute(
          `INSERT INTO ${table} (origin, media_id, sha256, kind, deleted_at, quarantined_at) VALUES ('${origin}', '${id}', 'x', '${kind}', 1, ${at})`,
        )
      }
      const asked = rows.map(([origin = '', mediaId = '']) => ({ origin, mediaId }))
      const deleted = await findDeletedNames(under.db.read, asked)
      expect(deleted.map(({ mediaId }) => mediaId).toSorted()).toEqual(['blocked', 'ours'])
    })
  })

  test('What is somebody else’s in a datastore is never nobody’s', async () => {
    await using under = await open()
    const { db } = under
    const prefixes = ['store/local_content/', 'store/url_cache/']
    await db.write(noteForeignPlaces, { datastore: 'main', prefixes })
    await db.write(noteForeignPlaces, { datastore: 'main', prefixes })
    const locations = ['store/local_content/aa/bb/c', 'store/other/aa', 'local_content/aa']
    expect([...(await namedLocations(db.read, 'main', locations))]).toEqual(['store/local_content/aa/bb/c'])
    expect([...(await namedLocations(db.read, 'other', locations))]).toEqual([])
  })
}

const STORED = { outcome: 'stored', unused: [], quarantined: [] }
const REMOTE = { origin: 'remote.example', kind: 'remote', uploader: null } as const

function placed({ mediaId, ...changes }: Partial<PlacedName> & { mediaId: string }): PlacedName {
  return {
    origin: 'example.org',
    mediaId,
    kind: 'upload',
    uploader: '@alice:example.org',
    contentType: 'image/png',
    uploadName: 'käse.png',
    createdAt: 1000,
    accessedAt: null,
    authenticated: false,
    quarantinedBy: null,
    isProtected: false,
    object: object(mediaId),
    ...changes,
  }
}

let batches = 0

function batch(changes: Partial<ImportBatch>): ImportBatch {
  const base = { source: SOURCE, from: undefined, to: 'done', batch: `batch ${batches++}`, now: NOW }
  return { ...base, names: [], changes: [], problems: [], ...changes }
}
