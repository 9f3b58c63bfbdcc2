/** What taking over from MMR writes, with rows as its tables have them. */
import { describe, expect, test } from 'vitest'
import { takeLease } from '../../../src/db/leases.ts'
import { deleteNames } from '../../../src/db/deletion.ts'
import { commitMedia, findMedia } from '../../../src/db/media.ts'
import { freePlaces, leavePlaces, otherPlaces, removeGone, usePlace } from '../../../src/db/mmr/gone.ts'
import { keepPlaces, takeOverReservations, takeOverTombstones } from '../../../src/db/mmr/ids.ts'
import { takeOverMedia } from '../../../src/db/mmr/media.ts'
import { countTakeOver, noteProblems, uploadedHere } from '../../../src/db/mmr/report.ts'
import { beginTakeOver, endPass, findTakeOver, setFinished } from '../../../src/db/mmr/state.ts'
import { MMR_FLAGS, type TakenMedia } from '../../../src/db/mmr/taken.ts'
import { takeOverThumbnails } from '../../../src/db/mmr/thumbnails.ts'
import { namedLocations } from '../../../src/db/named-locations.ts'
import { findReservation } from '../../../src/db/pending.ts'
import { quarantineContent } from '../../../src/db/moderation.ts'
import { deleteLater, unusedPlaces } from '../../../src/db/unused.ts'
import { usageOf } from '../../../src/db/usage.ts'
import { ALICE, type DatabaseUnderTest, media, NOW, type OpenDatabase, object } from './support.ts'

const LEASE = { name: 'mmr', token: 'mine' }

function taken(mediaId: string, changes: Partial<TakenMedia> = {}): TakenMedia {
  const { sha256 } = object(mediaId)
  return {
    origin: 'example.org',
    mediaId,
    sha256,
    size: 100,
    datastore: 'main',
    location: `of/mmr/${mediaId}`,
    kind: 'upload',
    contentType: 'image/png',
    uploadName: null,
    uploader: ALICE,
    createdAt: NOW - 1000,
    accessedAt: NOW - 500,
    flags: 0,
    ...changes,
  }
}

const take = ({ db }: DatabaseUnderTest, ...rows: TakenMedia[]) => db.write(takeOverMedia, { media: rows, now: NOW })

export function mmrContract(open: OpenDatabase): void {
  describe('Taking over from matrix-media-repo', () => {
    test('brings names and contents, once, and counts them', async () => {
      await using under = await open()
      const { db } = under
      const rows = [taken('a'), taken('b', { sha256: taken('a').sha256, location: 'of/mmr/a', uploader: null })]
      expect(await take(under, ...rows)).toEqual({ added: 2, changed: [] })
      expect(await take(under, ...rows)).toEqual({ added: 0, changed: [] })
      expect(await findMedia(db.read, 'example.org', 'a')).toMatchObject({
        location: 'of/mmr/a',
        uploader: ALICE,
        createdAt: NOW - 1000,
        accessedAt: NOW - 500,
      })
      expect(await usageOf(db.read, 'datastore:main')).toEqual({ bytes: 100, files: 1 })
      expect(await usageOf(db.read, 'server:example.org')).toEqual({ bytes: 200, files: 2 })
      expect(await usageOf(db.read, `user:${ALICE}`)).toEqual({ bytes: 100, files: 1 })
    })

    test('goes on under its lease only', async () => {
      await using under = await open()
      const { db } = under
      await db.write(beginTakeOver, { source: 'here', schema: 'public', now: NOW, again: false })
      await db.write(takeLease, { ...LEASE, ms: 60_000 })
      const step = { lease: { ...LEASE, token: 'another' }, progress: '{}' }
      expect(await db.write(takeOverMedia, { media: [taken('a')], now: NOW, step })).toBeUndefined()
      expect(await db.write(takeOverTombstones, { names: [], now: NOW, step })).toBe(false)
      expect(await db.write(takeOverReservations, { reservations: [], step })).toBe(false)
      expect(await db.write(keepPlaces, { places: [], step })).toBe(false)
      expect(await db.write(takeOverThumbnails, { thumbnails: [], kept: [], now: NOW, step })).toBeUndefined()
      expect(await db.write(removeGone, { names: [], now: NOW, step })).toBeUndefined()
      expect(await db.write(leavePlaces, { places: [], step })).toBeUndefined()
      expect(await db.write(endPass, { lease: step.lease, now: NOW })).toBe(false)
      expect(await findMedia(db.read, 'example.org', 'a')).toBeUndefined()
      const mine = { lease: LEASE, progress: '{"at":1}' }
      expect(await db.write(takeOverMedia, { media: [taken('a')], now: NOW, step: mine })).toMatchObject({ added: 1 })
      expect(await findTakeOver(db.read)).toMatchObject({ state: 'copying', progress: '{"at":1}' })
      expect(await db.write(endPass, { lease: LEASE, now: NOW })).toBe(true)
      expect(await findTakeOver(db.read)).toMatchObject({ state: 'copied', progress: '', copiedAt: NOW })
    })

    test('changes only what the other side changed', async () => {
      await using under = await open()
      const { db } = under
      await take(under, taken('a'), taken('b'), taken('c', { flags: MMR_FLAGS.pinned }))
      await db.write(deleteNames, { names: [{ origin: 'example.org', mediaId: 'b' }], rules: {}, at: NOW })
      const { sha256 } = taken('a')
      const changed = await take(
        under,
        taken('a', { flags: MMR_FLAGS.quarantined | MMR_FLAGS.restricted, accessedAt: NOW + 5 }),
        taken('b', { flags: MMR_FLAGS.quarantined }),
        taken('c'),
      )
      expect(changed?.changed).toContain(sha256)
      const a = await findMedia(db.read, 'example.org', 'a')
      expect(a).toMatchObject({ quarantinedAt: NOW, authenticatedAt: NOW, accessedAt: NOW + 5 })
      expect(await findMedia(db.read, 'example.org', 'b')).toBeUndefined()
      expect((await take(under, taken('a')))?.changed).toEqual([sha256])
      expect(await findMedia(db.read, 'example.org', 'a')).toMatchObject({ quarantinedAt: null, authenticatedAt: NOW })
      expect((await take(under, taken('a', { sha256: object('other').sha256 })))?.added).toBe(1)
      expect((await findMedia(db.read, 'example.org', 'a'))?.sha256).toBe(object('other').sha256)
    })

    test('quarantines new names of what was quarantined here', async () => {
      await using under = await open()
      const { db } = under
      await take(under, taken('a'))
      const { sha256 } = taken('a')
      await db.write(quarantineContent, { sha256, origin: null, at: NOW, by: ALICE })
      const came = await take(under, taken('b', { sha256 }), taken('p', { sha256, flags: MMR_FLAGS.pinned }))
      expect(came).toEqual({ added: 2, changed: [sha256] })
      expect((await findMedia(db.read, 'example.org', 'b'))?.quarantinedAt).toBe(NOW)
      expect((await findMedia(db.read, 'example.org', 'p'))?.quarantinedAt).toBeNull()
      expect(await countTakeOver(db.read)).toMatchObject({ quarantinedHere: 2 })
    })

    test('keeps what we have of our own', async () => {
      await using under = await open()
      const { db } = under
      const ours = media({ mediaId: 'ours' })
      await db.write(commitMedia, ours)
      expect(await take(under, taken('ours', { kind: 'remote' }))).toMatchObject({ added: 0 })
      expect(await findMedia(db.read, 'example.org', 'ours')).toMatchObject({
        kind: 'upload',
        location: ours.object.location,
      })
      const deleted = { origin: 'example.org', mediaId: 'gone' }
      await db.write(takeOverTombstones, { names: [deleted], now: NOW })
      expect(await take(under, taken('gone'))).toMatchObject({ added: 0 })
      const reservation = { origin: 'example.org', mediaId: 'open', userId: ALICE, createdAt: NOW, expiresAt: NOW + 1 }
      const used = { ...reservation, mediaId: 'ours' }
      await db.write(takeOverReservations, { reservations: [reservation, used, { ...reservation, mediaId: 'gone' }] })
      expect(await findReservation(db.read, 'example.org', 'open')).toMatchObject({
        uploader: ALICE,
        expiresAt: NOW + 1,
      })
      expect(await findReservation(db.read, 'example.org', 'ours')).toBeUndefined()
      expect(await findReservation(db.read, 'example.org', 'gone')).toBeUndefined()
    })

    test('hands over nothing for deletion that a row of the other side names, until it is finished', async () => {
      await using under = await open()
      const { db } = under
      await db.write(beginTakeOver, { source: 'elsewhere', schema: 'public', now: NOW, again: true })
      await take(under, taken('a'), taken('t', { flags: MMR_FLAGS.thumbnail }))
      await db.write(keepPlaces, { places: [{ datastore: 'main', location: 'export' }] })
      expect(await findMedia(db.read, 'example.org', 't')).toBeUndefined()
      const gone = await db.write(deleteNames, { names: [{ origin: 'example.org', mediaId: 'a' }], rules: {}, at: NOW })
      expect(gone).toMatchObject({ deleted: [{ mediaId: 'a' }], unused: [] })
      await db.write(deleteLater, { datastore: 'main', location: 'of/mmr/a', afterMs: -1 })
      expect(await unusedPlaces(db.read, 10)).toEqual([])
      const places = ['of/mmr/a', 'of/mmr/t', 'export', 'nobody']
      expect([...(await namedLocations(db.read, 'main', places))].toSorted()).toEqual([
        'export',
        'of/mmr/a',
        'of/mmr/t',
      ])
      await db.write(setFinished, { state: 'finishing' })
      const all = places.slice(0, 3).map((location) => ({ datastore: 'main', location }))
      expect(await db.write(freePlaces, all)).toBe(3)
      await db.write(setFinished, { state: 'finished' })
      await under.execute(`UPDATE ${db.engine === 'postgres' ? 'cellarium.' : ''}unused_objects SET delete_after = 0`)
      expect((await unusedPlaces(db.read, 10)).filter(({ isNamed }) => !isNamed)).toHaveLength(3)
      expect(await namedLocations(db.read, 'main', ['elsewhere'])).toEqual(new Set())
    })

    test('follows contents to where the other side moved them', async () => {
      await using under = await open()
      const { db } = under
      await db.write(beginTakeOver, { source: 'here', schema: 'public', now: NOW, again: false })
      await db.write(takeLease, { ...LEASE, ms: 60_000 })
      await take(under, taken('a'))
      await take(under, taken('a', { datastore: 'second', location: 'new' }))
      const { sha256 } = taken('a')
      expect(await otherPlaces(db.read, { sha256, location: 'of/mmr/a', limit: 5 })).toEqual([
        { datastore: 'second', location: 'new' },
      ])
      const places = [{ datastore: 'main', location: 'of/mmr/a', sha256 }]
      expect(await db.write(leavePlaces, { places, step: { lease: LEASE, progress: '' } })).toEqual([sha256])
      expect(await findMedia(db.read, 'example.org', 'a')).toMatchObject({ datastore: 'second', location: 'new' })
      expect(await usageOf(db.read, 'datastore:second')).toEqual({ bytes: 100, files: 1 })
      expect(await usageOf(db.read, 'datastore:main')).toEqual({ bytes: 0, files: 0 })
      await db.write(usePlace, { sha256, from: 'new', to: { datastore: 'main', location: 'third' } })
      expect(await findMedia(db.read, 'example.org', 'a')).toMatchObject({ datastore: 'main', location: 'third' })
    })

    test('brings thumbnails of what is here', async () => {
      await using under = await open()
      const { db } = under
      await take(under, taken('a'))
      const thumbnail = {
        sourceSha256: taken('a').sha256,
        width: 32,
        height: 32,
        method: 'crop',
        variant: 'still',
        contentType: 'image/png',
        createdAt: NOW,
        madeFor: 'example.org',
        sha256: object('thumbnail').sha256,
        size: 7,
        datastore: 'main',
        location: 'of/mmr/thumbnail',
      }
      const orphan = { ...thumbnail, sourceSha256: object('nobody').sha256 }
      expect(await db.write(takeOverThumbnails, { thumbnails: [thumbnail, orphan], kept: [], now: NOW })).toBe(1)
      expect(await db.write(takeOverThumbnails, { thumbnails: [thumbnail], kept: [], now: NOW })).toBe(0)
      expect(await usageOf(db.read, 'thumbnails:example.org')).toEqual({ bytes: 7, files: 1 })
    })

    test('tells how the two differ', async () => {
      await using under = await open()
      const { db } = under
      await take(
        under,
        taken('a'),
        taken('b'),
        taken('t', { flags: MMR_FLAGS.thumbnail }),
        taken('c', { sha256: taken('b').sha256 }),
      )
      await db.write(commitMedia, media({ mediaId: 'here' }))
      await db.write(deleteNames, { names: [{ origin: 'example.org', mediaId: 'a' }], rules: {}, at: NOW })
      const problem = { problem: 'lost', origin: 'example.org', mediaId: 'b', detail: 'nothing there' } as const
      await db.write(noteProblems, [problem, problem])
      expect(await countTakeOver(db.read)).toEqual({
        names: 3,
        thumbnailCopies: 1,
        places: 4,
        duplicates: 1,
        uploadedHere: 1,
        deletedHere: 1,
        quarantinedHere: 0,
        problems: { lost: 1 },
      })
      const after = { origin: '', mediaId: '' }
      expect(await uploadedHere(db.read, { after, limit: 9 })).toMatchObject([{ mediaId: 'here', uploader: ALICE }])
    })
  })
}
