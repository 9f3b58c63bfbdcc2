import { describe, expect, test } from 'vitest'
import {
  addArchiveImport,
  addUploadedPart,
  closeArchiveImport,
  endArchiveImport,
  endedImports,
  findArchiveImport,
  uploadedParts,
} from '../../../src/db/archive-imports.ts'
import type { Database } from '../../../src/db/connect.ts'
import {
  countExported,
  exportableMedia,
  exportedMedia,
  type ExportedMedia,
  isQuarantinedPart,
  quarantinedNumbers,
} from '../../../src/db/export-media.ts'
import {
  addExport,
  deleteExport,
  expiredExports,
  exportParts,
  findExport,
  finishExport,
  keepExportPart,
} from '../../../src/db/exports.ts'
import { takeLease } from '../../../src/db/leases.ts'
import { commitMedia } from '../../../src/db/media.ts'
import { namedLocations } from '../../../src/db/named-locations.ts'
import { cancelTask, endTask, type HeldTask } from '../../../src/db/tasks.ts'
import { type DatabaseUnderTest, media, NOW, type OpenDatabase, table } from './support.ts'

const file = (part: number) => ({
  part,
  fileName: `export-part-${part}.tgz`,
  size: 100,
  sha256: 'a',
  datastore: 'main',
  location: `part ${part}`,
})

const uploaded = (location: string) => ({ size: 5, sha256: 'c', datastore: 'main', location })

const exported = (mediaId: string, changes: Partial<ExportedMedia> = {}): ExportedMedia => ({
  origin: 'example.org',
  mediaId,
  sha256: 'b',
  size: 10,
  contentType: 'image/png',
  name: 'käse.png',
  uploader: '@alice:example.org',
  createdAt: NOW,
  s3Url: '',
  fileName: `example.org__${mediaId}`,
  leftOut: '',
  ...changes,
})

async function begin(db: Database, expiresAt: number | null = null): Promise<HeldTask> {
  const task = { name: 'export_data', params: { export_id: 'x' } }
  const about = { exportId: 'x', entity: 'example.org', withS3Urls: true, createdAt: NOW, expiresAt, task }
  const id = await db.write(addExport, about)
  const lease = { name: 'task export_data', token: 'one' }
  await db.write(takeLease, { ...lease, ms: 60_000 })
  return { lease, id }
}

export function exportsContract(open: OpenDatabase): void {
  describe('An export', () => {
    test('keeps a part with what is in it and how far it is, in its order', async () => {
      await using under = await open()
      const { db } = under
      const held = await begin(db)
      const left = exported('c', { fileName: '', leftOut: 'quarantined' })
      const kept = { held, exportId: 'x', file: file(1), media: [exported('b'), exported('a'), left], after: 'c' }
      expect(await db.write(keepExportPart, kept)).toBe('held')
      const more = Array.from({ length: 1200 }, (_, n) => exported(`n${n}`))
      expect(await db.write(keepExportPart, { ...kept, file: file(2), media: more, after: 'n' })).toBe('held')
      expect(await db.write(finishExport, { held, exportId: 'x', file: file(3), at: NOW + 5 })).toBe('held')
      expect(await findExport(db.read, 'x')).toEqual({
        exportId: 'x',
        entity: 'example.org',
        taskId: held.id,
        withS3Urls: true,
        createdAt: NOW,
        finishedAt: NOW + 5,
        expiresAt: null,
        after: 'n',
      })
      expect(await exportParts(db.read, 'x')).toEqual([file(1), file(2), file(3)])
      const page = await exportedMedia(db.read, { exportId: 'x', after: 0, limit: 4 })
      expect(page.map(({ number, mediaId }) => [number, mediaId])).toEqual([
        [1, 'b'],
        [2, 'a'],
        [3, 'c'],
        [4, 'n0'],
      ])
      expect(page[0]).toEqual({ number: 1, ...exported('b') })
      expect(await countExported(db.read, 'x')).toEqual(
        new Map([
          ['', 1202],
          ['quarantined', 1],
        ]),
      )
      expect(await namedLocations(db.read, 'main', ['part 2', 'else'])).toEqual(new Set(['part 2']))
    })

    test('that was deleted or cancelled, or is another instance’s, keeps nothing more', async () => {
      await using under = await open()
      const { db } = under
      const held = await begin(db)
      const kept = { held, exportId: 'x', file: file(1), media: [exported('a')], after: 'a' }
      const another = { ...held, lease: { ...held.lease, token: 'two' } }
      expect(await db.write(keepExportPart, { ...kept, held: another })).toBe('lost')
      expect(await db.write(keepExportPart, kept)).toBe('held')
      await db.write(cancelTask, { id: held.id, at: NOW })
      expect(await db.write(finishExport, { ...kept, at: NOW })).toBe('cancelled')
      expect(await db.write(deleteExport, { exportId: 'x' })).toBe(true)
      expect(await db.write(keepExportPart, kept)).toBe('deleted')
      expect(await db.write(deleteExport, { exportId: 'x' })).toBe(false)
      expect(await exportedMedia(db.read, { exportId: 'x', after: 0, limit: 9 })).toEqual([])
      expect(await namedLocations(db.read, 'main', ['part 1']), 'to be deleted in a while').toEqual(new Set(['part 1']))
    })

    test('says which of its parts and media are quarantined now, or were when they were deleted', async () => {
      await using under = await open()
      const { db } = under
      const held = await begin(db)
      const names = ['fine', 'bad', 'gone'] as const
      for (const mediaId of names) await db.write(commitMedia, { ...media({ mediaId }), committedAt: NOW })
      for (const [index, mediaId] of names.entries()) {
        await db.write(keepExportPart, {
          held,
          exportId: 'x',
          file: file(index + 1),
          media: [exported(mediaId)],
          after: '',
        })
      }
      const ofParts = async () => await Promise.all([1, 2, 3, 4].map((part) => isQuarantinedPart(db.read, 'x', part)))
      expect(await ofParts()).toEqual([false, false, false, false])
      await quarantine(under, 'bad')
      await under.execute(
        `INSERT INTO ${table(db, 'deleted_media')} (origin, media_id, sha256, kind, deleted_at, quarantined_at) VALUES ('example.org', 'gone', 'b', 'upload', 1, 1)`,
      )
      expect(await ofParts()).toEqual([false, true, true, false])
      expect(await quarantinedNumbers(db.read, 'x', { from: 1, to: 2 })).toEqual(new Set([2]))
      const [found] = await exportableMedia(db.read, [{ origin: 'example.org', mediaId: 'bad' }])
      expect(found).toMatchObject({ kind: 'upload', isQuarantined: true, isLost: false, object: { size: 100 } })
    })

    test('is over when its time is', async () => {
      await using under = await open()
      await begin(under.db, 1000)
      expect(await expiredExports(under.db.read, 9)).toEqual(['x'])
      await under.execute(`UPDATE ${table(under.db, 'exports')} SET expires_at = NULL`)
      expect(await expiredExports(under.db.read, 9)).toEqual([])
    })
  })

  describe('An archive that is uploaded', () => {
    test('has its files in the order in which they came, until it is closed or over', async () => {
      await using under = await open()
      const { db } = under
      const task = { name: 'import_data', params: { import_id: 'i' } }
      const id = await db.write(addArchiveImport, { importId: 'i', at: NOW, first: uploaded('first'), task })
      const second = { importId: 'i', at: NOW + 1, file: uploaded('second') }
      expect(await db.write(addUploadedPart, second)).toBe('added')
      expect(await db.write(addUploadedPart, { ...second, importId: 'other' })).toBe('not_found')
      expect((await uploadedParts(db.read, 'i')).map(({ part, location }) => [part, location])).toEqual([
        [1, 'first'],
        [2, 'second'],
      ])
      expect(await db.write(closeArchiveImport, { importId: 'i', at: NOW + 2 })).toBe(true)
      expect(await db.write(addUploadedPart, second)).toBe('closed')
      expect(await findArchiveImport(db.read, 'i')).toEqual({
        importId: 'i',
        taskId: id,
        createdAt: NOW,
        touchedAt: NOW + 1,
        closedAt: NOW + 2,
      })
      expect(await endedImports(db.read, 9)).toEqual([])
      const lease = { name: 'task import_data', token: 'one' }
      await db.write(takeLease, { ...lease, ms: 60_000 })
      await db.write(endTask, { id, lease, error: '', at: NOW })
      expect(await endedImports(db.read, 9)).toEqual(['i'])
      expect(await namedLocations(db.read, 'main', ['second'])).toEqual(new Set(['second']))
      await db.write(endArchiveImport, 'i')
      expect(await findArchiveImport(db.read, 'i')).toBeUndefined()
      expect(await uploadedParts(db.read, 'i')).toEqual([])
    })
  })
}

async function quarantine(under: DatabaseUnderTest, mediaId: string): Promise<void> {
  await under.execute(`UPDATE ${table(under.db, 'media')} SET quarantined_at = 1 WHERE media_id = '${mediaId}'`)
}
