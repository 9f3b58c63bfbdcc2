import { describe, expect, test } from 'vitest'
import { commitMedia, findMedia } from '../../../src/db/media.ts'
import { namedLocations } from '../../../src/db/named-locations.ts'
import {
  markDamaged,
  markIntact,
  markLost,
  namesOf,
  objectsAfterHash,
  objectsAfterLocation,
} from '../../../src/db/object-care.ts'
import { findObject } from '../../../src/db/objects.ts'
import { noteProgress, progressOf } from '../../../src/db/progress.ts'
import { commitThumbnail, findThumbnail } from '../../../src/db/thumbnails.ts'
import { deleteLater, unusedPlaces } from '../../../src/db/unused.ts'
import { many, media, NOW, object, type OpenDatabase, table, thumbnail } from './support.ts'

export function careContract(open: OpenDatabase): void {
  describe('Looking after objects', () => {
    test('knows which places are named, by media and by thumbnails, each in its own datastore', async () => {
      await using under = await open()
      const { db } = under
      const source = media()
      await db.write(commitMedia, source)
      await db.write(commitThumbnail, thumbnail(source))
      const asked = [source.object.location, 'at thumbnail', 'nowhere', "o'clock"]
      expect([...(await namedLocations(db.read, 'main', asked))].toSorted()).toEqual(
        [source.object.location, 'at thumbnail'].toSorted(),
      )
      expect(await namedLocations(db.read, 'other', asked)).toEqual(new Set())
      expect(await namedLocations(db.read, 'main', [])).toEqual(new Set())
    })

    test('knows of bytes that wait for their deletion that they are not to be deleted yet', async () => {
      await using under = await open()
      const { db } = under
      await db.write(deleteLater, { datastore: 'main', location: 'moved just now', afterMs: 600_000 })
      await db.write(deleteLater, { datastore: 'main', location: 'overdue', afterMs: -600_000 })
      const asked = ['moved just now', 'overdue']
      expect([...(await namedLocations(db.read, 'main', asked))]).toEqual(['moved just now'])
      expect(await namedLocations(db.read, 'other', asked)).toEqual(new Set())
    })

    test('walks through a datastore by place and through everything by hash, each object once', async () => {
      await using under = await open()
      const { db } = under
      const offered = many(23, (index) =>
        media({ object: object(`walk ${index}`, `Ünder/${index % 2 ? 'a' : 'B'}${index}`) }),
      )
      for (const one of offered) await db.write(commitMedia, one)
      await db.write(commitMedia, media({ object: { ...object('elsewhere'), datastore: 'another' } }))
      const places: string[] = []
      for (let after = ''; ;) {
        const rows = await objectsAfterLocation(db.read, { datastore: 'main', after, limit: 5 })
        if (rows.length === 0) break
        places.push(...rows.map(({ location }) => location))
        after = places.at(-1) ?? ''
      }
      expect(places).toHaveLength(23)
      expect(new Set(places)).toEqual(new Set(offered.map(({ object: { location } }) => location)))
      const hashes: string[] = []
      for (let after = ''; ;) {
        const rows = await objectsAfterHash(db.read, { after, limit: 7 })
        if (rows.length === 0) break
        hashes.push(...rows.map(({ sha256 }) => sha256))
        after = hashes.at(-1) ?? ''
      }
      expect(hashes).toHaveLength(24)
      expect(hashes).toEqual(hashes.toSorted())
    })

    test('marks an object as lost once, and only at the place that was looked at', async () => {
      await using under = await open()
      const { db } = under
      const source = media()
      await db.write(commitMedia, source)
      const { sha256, datastore, location } = source.object
      const lost = { sha256, datastore, location, now: NOW + 5, damaged: false }
      expect(await db.write(markLost, { ...lost, location: 'before it moved' })).toBe(false)
      expect(await findObject(db.read, sha256)).toMatchObject({ lostAt: null })
      expect(await db.write(markLost, lost)).toBe(true)
      expect(await db.write(markLost, { ...lost, now: NOW + 9 })).toBe(false)
      expect(await findMedia(db.read, source.origin, source.mediaId)).toMatchObject({
        lostAt: NOW + 5,
        damagedAt: null,
      })
      expect(await db.write(markIntact, lost)).toBe(true)
      expect(await db.write(markIntact, lost)).toBe(false)
      expect(await findObject(db.read, sha256)).toMatchObject({ lostAt: null, damagedAt: null })
    })

    test('marks damaged thumbnails, which look-ups then show', async () => {
      await using under = await open()
      const { db } = under
      const source = media()
      const made = thumbnail(source)
      await db.write(commitMedia, source)
      await db.write(commitThumbnail, made)
      expect(await db.write(markDamaged, { ...made.object, now: NOW })).toBe(true)
      expect(await db.write(markDamaged, { ...made.object, now: NOW + 1 })).toBe(false)
      expect(await findThumbnail(db.read, made)).toMatchObject({ lostAt: null, damagedAt: NOW })
    })

    test('forgets marks when the same bytes are stored again; damaged ones are then deleted, missing ones are not', async () => {
      await using under = await open()
      const { db } = under
      for (const damaged of [true, false]) {
        const before = media()
        await db.write(commitMedia, before)
        await db.write(markLost, { ...before.object, now: NOW, damaged })
        const { sha256, datastore, location } = before.object
        const again = { ...before.object, location: `${location} again`, replaces: { datastore, location } }
        expect(await db.write(commitMedia, media({ object: again }))).toMatchObject({ outcome: 'existing' })
        const healed = { location: `${location} again`, lostAt: null, damagedAt: null }
        expect(await findObject(db.read, sha256)).toMatchObject(healed)
        await under.execute(`UPDATE ${table(db, 'unused_objects')} SET delete_after = 0`)
        const unused = (await unusedPlaces(db.read, 10)).map((place) => place.location)
        expect(unused.includes(location)).toBe(damaged)
      }
    })

    test('names some of what a lost object was called', async () => {
      await using under = await open()
      const { db } = under
      const shared = object('shared')
      for (const kind of ['upload', 'remote'] as const) await db.write(commitMedia, media({ kind, object: shared }))
      expect(await namesOf(db.read, { sha256: shared.sha256, limit: 1 })).toHaveLength(1)
      const names = await namesOf(db.read, { sha256: shared.sha256, limit: 9 })
      expect(names.map(({ kind }) => kind).toSorted()).toEqual(['remote', 'upload'])
    })

    test('remembers how far a chore is; of two that go on from one state only one gets on', async () => {
      await using under = await open()
      const { db } = under
      await using other = await under.another()
      expect(await progressOf(db.read, 'scrub')).toBeUndefined()
      const both = (from: string | undefined) =>
        Promise.all([
          db.write(noteProgress, step(from, `${from} a`)),
          other.write(noteProgress, step(from, `${from} b`)),
        ])
      expect((await both(undefined)).toSorted()).toEqual([false, true])
      const state = await progressOf(db.read, 'scrub')
      expect((await both(state)).toSorted()).toEqual([false, true])
      expect(await db.write(noteProgress, step(state, 'late'))).toBe(false)
      expect(await progressOf(db.read, 'another chore')).toBeUndefined()
    })
  })
}

const step = (from: string | undefined, to: string) => ({ chore: 'scrub', from, to, now: NOW })
