import { describe, expect, test } from 'vitest'
import { commitMedia, findMedia } from '../../../src/db/media.ts'
import { findObject } from '../../../src/db/objects.ts'
import { commitThumbnail } from '../../../src/db/thumbnails.ts'
import { usageOf } from '../../../src/db/usage.ts'
import { type OpenDatabase, media, object, thumbnail, objects, table } from './support.ts'

export function recordsContract(open: OpenDatabase): void {
  describe('The records themselves', () => {
    const twins = ['abc', 'ABC', 'Abc', 'äbc', 'a\u0308bc', 'abc ', 'ａbc', 'straße', 'strasse', 'ﬁle', 'file']

    test('hold names that differ in case, accent, width or blanks apart', async () => {
      await using under = await open()
      const { db } = under
      for (const twin of twins) {
        const offered = media({ mediaId: twin, uploader: `@${twin}:example.org`, object: object(twin) })
        expect(await db.write(commitMedia, offered)).toMatchObject({ outcome: 'stored', mediaId: twin })
      }
      for (const twin of twins) {
        expect(await findMedia(db.read, 'example.org', twin)).toMatchObject({ sha256: object(twin).sha256 })
        expect(await usageOf(db.read, `user:@${twin}:example.org`)).toEqual({ bytes: 100, files: 1 })
      }
    })

    test('are in the order of their bytes', async () => {
      await using under = await open()
      for (const twin of twins) await under.db.write(commitMedia, media({ mediaId: twin, object: object(twin) }))
      const rows = await under.db.read.selectFrom('media').select('media_id').orderBy('media_id').execute()
      const bytewise = twins.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      expect(rows.map((row) => row.media_id)).toEqual(bytewise)
    })

    test('keep texts of any script whole', async () => {
      await using under = await open()
      const uploadName = `Żółć 漢字 \u{1F600} ${'x'.repeat(200)} '"\\;--%_`
      const offered = media({ uploadName })
      await under.db.write(commitMedia, offered)
      expect((await findMedia(under.db.read, offered.origin, offered.mediaId))?.uploadName).toBe(uploadName)
    })

    test('keep numbers up to 2^53 - 1 exactly, and refuse to give larger ones wrongly', async () => {
      await using under = await open()
      const largest = { ...object('largest'), size: Number.MAX_SAFE_INTEGER }
      await under.db.write(commitMedia, media({ object: largest }))
      expect((await findObject(under.db.read, largest.sha256))?.size).toBe(Number.MAX_SAFE_INTEGER)
      await under.execute(`UPDATE ${table(under.db, 'objects')} SET size = 9007199254740993`)
      await expect(findObject(under.db.read, largest.sha256)).rejects.toThrow('9007199254740993')
    })

    test('never point at content that is not there', async () => {
      await using under = await open()
      const source = media()
      await under.db.write(commitMedia, source)
      await under.db.write(commitThumbnail, thumbnail(source, { object: object('small') }))
      const objectsTable = table(under.db, 'objects')
      for (const sha256 of [source.object.sha256, object('small').sha256]) {
        await expect(under.execute(`DELETE FROM ${objectsTable} WHERE sha256 = '${sha256}'`)).rejects.toThrow(
          /foreign key/i,
        )
      }
      const made = `INSERT INTO ${table(under.db, 'media')} (origin, media_id, sha256, kind, content_type, created_at)`
      await expect(under.execute(`${made} VALUES ('o', 'm', 'nowhere', 'upload', 't', 1)`)).rejects.toThrow(
        /foreign key/i,
      )
    })

    test('never have two objects at one place', async () => {
      await using under = await open()
      await under.db.write(commitMedia, media({ object: object('one', 'same place') }))
      await expect(under.db.write(commitMedia, media({ object: object('other', 'same place') }))).rejects.toThrow(
        /unique/i,
      )
      expect(await objects(under.db)).toHaveLength(1)
    })

    test('are still there, and nothing is done twice, when the database is opened again', async () => {
      await using under = await open()
      const offered = media()
      await under.db.write(commitMedia, offered)
      await using again = await under.another()
      expect(await findMedia(again.read, offered.origin, offered.mediaId)).toBeDefined()
    })
  })

  test('A database of a newer version is refused with a sentence that says so', async () => {
    await using under = await open()
    await under.execute(
      `INSERT INTO ${table(under.db, 'migrations')} (name, timestamp) VALUES ('9999-from-the-future', '2040-01-01T00:00:00Z')`,
    )
    await expect(under.another()).rejects.toThrow(
      /^the database was used by a newer version of Cellarium \(it has 9999-from-the-future\)/,
    )
  })
}
