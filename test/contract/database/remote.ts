import { describe, expect, test } from 'vitest'
import { takeLease } from '../../../src/db/leases.ts'
import { commitMedia, findMedia } from '../../../src/db/media.ts'
import { deleteMedia } from '../../../src/db/deletion.ts'
import { quarantineContent, releaseContent } from '../../../src/db/moderation.ts'
import { canBeBlocked, commitFetched, type FetchedMedia, isBlockedName } from '../../../src/db/remote.ts'
import { usageOf } from '../../../src/db/usage.ts'
import type { Database } from '../../../src/db/connect.ts'
import { found, media, NOW, object, objects, type OpenDatabase, placeOf, table } from './support.ts'

const LEASE = { name: 'remote mxc://far.example/abc', token: 'ours' }

function fetched(changes: Partial<FetchedMedia> = {}): FetchedMedia {
  const what = { contentType: 'image/png', uploadName: 'a.png', createdAt: NOW, authenticated: true }
  return { origin: 'far.example', mediaId: 'abc', ...what, object: object('far'), lease: LEASE, ...changes }
}

const exactly = (size: number) => ({ atLeast: size, atMost: size })

const lease = (db: Database) => db.write(takeLease, { ...LEASE, ms: 60_000 })

export function remoteContract(open: OpenDatabase): void {
  describe('Committing a file of another server', () => {
    test('names what came, as remote media, and counts it', async () => {
      await using under = await open()
      const { db } = under
      await lease(db)
      const one = fetched()
      expect(await db.write(commitFetched, one)).toMatchObject({ outcome: 'stored', object: placeOf(one.object) })
      expect(await findMedia(db.read, 'far.example', 'abc')).toMatchObject({
        ...placeOf(one.object),
        kind: 'remote',
        contentType: 'image/png',
        uploadName: 'a.png',
        uploader: null,
        authenticatedAt: NOW,
      })
      expect(await usageOf(db.read, 'server:far.example')).toEqual({ bytes: 100, files: 1 })
    })

    test('changes nothing for who has lost the lease', async () => {
      await using under = await open()
      const { db } = under
      await db.write(takeLease, { ...LEASE, token: 'of another', ms: 60_000 })
      expect(await db.write(commitFetched, fetched())).toEqual({ outcome: 'lease_lost' })
      expect(await objects(db)).toEqual([])
    })

    test('is refused for content that is quarantined under another name, and leaves nothing', async () => {
      await using under = await open()
      const { db } = under
      await lease(db)
      const upload = media()
      await db.write(commitMedia, upload)
      await db.write(quarantineContent, { sha256: upload.object.sha256, origin: null, at: NOW })
      const same = fetched({ object: { ...upload.object, location: 'elsewhere' } })
      expect(await db.write(commitFetched, same)).toEqual({ outcome: 'blocked' })
      expect(await findMedia(db.read, 'far.example', 'abc')).toBeUndefined()
    })

    test('gives lost content of the same name its bytes back, and changes the record in nothing else', async () => {
      await using under = await open()
      const { db } = under
      await lease(db)
      const one = fetched()
      await db.write(commitFetched, one)
      const before = await findMedia(db.read, 'far.example', 'abc')
      await under.execute(`UPDATE ${table(db, 'objects')} SET lost_at = ${NOW}`)
      const { datastore, location } = one.object
      const again = { ...one.object, location: 'anew', replaces: { datastore, location } }
      const later = fetched({ object: again, createdAt: NOW + 1000, contentType: 'text/html', authenticated: false })
      expect(await db.write(commitFetched, later)).toMatchObject({ outcome: 'known', object: { location: 'anew' } })
      expect(await findMedia(db.read, 'far.example', 'abc')).toEqual({ ...before, location: 'anew' })
      expect(await usageOf(db.read, 'server:far.example')).toEqual({ bytes: 100, files: 1 })
    })

    test('leaves a record alone whose server sends something else now', async () => {
      await using under = await open()
      const { db } = under
      await lease(db)
      const one = fetched()
      await db.write(commitFetched, one)
      const before = await findMedia(db.read, 'far.example', 'abc')
      const other = fetched({ object: object('other') })
      expect(await db.write(commitFetched, other)).toEqual({ outcome: 'other_content', sha256: one.object.sha256 })
      expect(await findMedia(db.read, 'far.example', 'abc')).toEqual(before)
      expect(await objects(db)).toEqual([placeOf(one.object)])
    })

    test('does not bring blocked content back for a name that is not quarantined itself', async () => {
      await using under = await open()
      const { db } = under
      await lease(db)
      const one = fetched()
      await db.write(commitFetched, one)
      await db.write(commitMedia, media({ object: found(one.object) }))
      await db.write(quarantineContent, { sha256: one.object.sha256, origin: 'example.org', at: NOW })
      const again = { ...one.object, location: 'anew', replaces: placeOf(one.object) }
      expect(await db.write(commitFetched, fetched({ object: again }))).toEqual({ outcome: 'blocked' })
      expect(await objects(db)).toEqual([placeOf(one.object)])
    })
  })

  describe('Whether content can be blocked, by its size,', () => {
    test('is no while nothing is', async () => {
      await using under = await open()
      await under.db.write(commitMedia, media())
      for (const sizes of [undefined, exactly(100)]) expect(await canBeBlocked(under.db.read, sizes)).toBe(false)
    })

    test('is yes for the size of what is quarantined, and for every size that is not known', async () => {
      await using under = await open()
      const { db } = under
      const upload = media()
      await db.write(commitMedia, upload)
      const { sha256 } = upload.object
      await db.write(quarantineContent, { sha256, origin: null, at: NOW })
      const asked = async () =>
        await Promise.all(
          [undefined, exactly(100), { atLeast: 1, atMost: 100 }, exactly(99), { atLeast: 101, atMost: 500 }].map(
            (sizes) => canBeBlocked(db.read, sizes),
          ),
        )
      expect(await asked()).toEqual([true, true, true, false, false])
      await db.write(deleteMedia, { origin: upload.origin, mediaId: upload.mediaId, at: NOW })
      expect(await asked(), 'also when it is deleted').toEqual([true, true, true, false, false])
      await under.execute(`UPDATE ${table(db, 'deleted_media')} SET size = NULL`)
      expect(await asked(), 'deleted when its size was not noted').toEqual([true, true, true, true, true])
      await db.write(releaseContent, { sha256 })
      expect(await asked()).toEqual([false, false, false, false, false])
    })
  })

  test('A name of another server that was quarantined and then deleted is known', async () => {
    await using under = await open()
    const { db } = under
    await lease(db)
    for (const [index, quarantined] of [false, true].entries()) {
      const at = NOW + index
      await db.write(commitFetched, fetched({ object: object('far', `place ${index}`), createdAt: at }))
      if (quarantined) {
        await db.write(quarantineContent, { sha256: object('far').sha256, origin: null, at: NOW })
      }
      const name = { origin: 'far.example', mediaId: 'abc' }
      await db.write(deleteMedia, { ...name, at })
      expect(await isBlockedName(db.read, name)).toBe(quarantined)
    }
  })
}
