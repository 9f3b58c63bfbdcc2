import { randomBytes } from 'node:crypto'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { CheckNotes } from '../../src/db/check-notes.ts'
import { markLost } from '../../src/db/object-care.ts'
import { findObject } from '../../src/db/objects.ts'
import { deleteLater } from '../../src/db/unused.ts'
import type { Datastore } from '../../src/datastores/datastore.ts'
import { check, type Checked, type Finding } from '../../src/media/check.ts'
import { type Changed, onChanged, Records } from '../../src/media/records.ts'
import { reasonsNotToRepair, repair } from '../../src/media/repair.ts'
import { type Engine, openPlace, type Place } from '../support/care.ts'
import { describeWith } from '../support/services.ts'

describe('A check, with records in SQLite,', () => suite('sqlite'))
describeWith('postgres', 'A check, with records in PostgreSQL,', () => suite('postgres'))

function suite(engine: Engine): void {
  test('finds nothing where every object has its record and every record its object', async () => {
    await using place = await openPlace(engine)
    for (let number = 0; number < 12; number++) await place.store()
    const { checked, findings } = await checkAll(place, { verify: true })
    expect(findings).toEqual([])
    const twelve = { objects: 12, bytes: 12_000 }
    expect(checked).toMatchObject({ listed: twelve, records: twelve, verified: twelve, young: { objects: 0 } })
  })

  test('finds what has no record, what is gone, what is cut, and names it', async () => {
    await using place = await openPlace(engine)
    const [gone, cut, remote] = [await place.store(), await place.store(), await place.store(randomBytes(70), 'remote')]
    for (let number = 0; number < 5; number++) await place.store()
    await place.lose(gone)
    await place.lose(remote)
    await place.cut(cut, 400)
    const orphan = await place.putOnly(randomBytes(33))
    await place.age(orphan, 2)
    await place.putOnly()
    await mkdir(join(place.folder, 'old', 'layout'), { recursive: true })
    await writeFile(join(place.folder, 'old', 'layout', 'file'), 'from another program')
    await place.age('old/layout/file', 400)
    const { checked, findings } = await checkAll(place)
    expect(byKind(findings)).toEqual({
      orphan: [
        expect.objectContaining({ location: orphan, size: 33 }),
        expect.objectContaining({ location: 'old/layout/file', size: 20 }),
      ],
      lost: [gone, remote]
        .toSorted((a, b) => (a.location < b.location ? -1 : 1))
        .map(({ sha256, location, size, mediaId }) => ({
          kind: 'lost',
          sha256,
          location,
          size,
          names: [`mxc://${mediaId === remote.mediaId ? 'remote.example' : 'example.org'}/${mediaId}`],
          remote: mediaId === remote.mediaId,
        })),
      damaged: [expect.objectContaining({ location: cut.location, problem: 'has 400 bytes, its record says 1000' })],
    })
    expect(checked.young).toEqual({ objects: 1, bytes: 1000 })
    expect(await findObject(place.db.read, gone.sha256)).toMatchObject({ lostAt: null })
    expect(await place.datastore.sizeOf(orphan)).toBe(33)
  })

  test('finds other bytes of the same length only when it is to read everything', async () => {
    await using place = await openPlace(engine)
    const spoilt = await place.store(randomBytes(300_000))
    await place.store()
    await place.spoil(spoilt)
    expect((await checkAll(place)).findings).toEqual([])
    const { findings } = await checkAll(place, { verify: true })
    expect(findings).toEqual([expect.objectContaining({ kind: 'damaged', location: spoilt.location })])
  })

  test('does not take for orphans what was moved away a moment ago and is still being read', async () => {
    await using place = await openPlace(engine)
    const left = await Promise.all(Array.from({ length: 12 }, () => place.putOnly()))
    for (const location of left) {
      await place.age(location, 400)
      await place.db.write(deleteLater, { datastore: 'media', location, afterMs: 600_000 })
    }
    const { checked, findings } = await checkAll(place)
    expect(findings).toEqual([])
    expect(checked.listed.objects).toBe(12)
    await place.execute('UPDATE unused_objects SET delete_after = 0')
    expect((await checkAll(place)).findings).toHaveLength(12)
  })

  test('does not take for lost what is put, deleted or moved while it runs', async () => {
    await using place = await openPlace(engine)
    const [deleted, moved] = [await place.store(), await place.store()]
    for (let number = 0; number < 5; number++) await place.store()
    let listed = false
    const during: Datastore = {
      ...bound(place.datastore),
      async *list() {
        const all = await Array.fromAsync(place.datastore.list())
        await place.store()
        yield* all.filter(({ location }) => location !== deleted.location && location !== moved.location)
        listed = true
      },
      sizeOf: async (location) => {
        // Between the look at the rows and the look at the object.
        if (location === deleted.location) await forget(place, deleted.sha256)
        if (location === moved.location) await move(place, moved.sha256, '0/before all others')
        return location === deleted.location || location === moved.location
          ? undefined
          : await place.datastore.sizeOf(location)
      },
    }
    await using notes = await CheckNotes.open<Finding>()
    const checked = await check(place, during, notes, { verify: false })
    expect(listed).toBe(true)
    expect([...notes.findings()]).toEqual([])
    expect(checked.records.objects).toBeGreaterThanOrEqual(7)
  })

  test('repairs: deletes old objects without a record, marks what is lost and damaged, leaves all else', async () => {
    await using place = await openPlace(engine)
    const [gone, spoilt, whole] = [await place.store(), await place.store(), await place.store()]
    for (let number = 0; number < 5; number++) await place.store()
    await place.lose(gone)
    await place.spoil(spoilt)
    const [old, young] = [await place.putOnly(), await place.putOnly()]
    await place.age(old, 2)
    const { repaired } = await checkAndRepair(place)
    const one = { objects: 1, bytes: 1000 }
    const none = { objects: 0, bytes: 0 }
    expect(repaired).toEqual({ dropped: one, markedLost: one, markedDamaged: one, unmarked: none, left: none })
    expect(await place.datastore.sizeOf(old)).toBeUndefined()
    expect(await place.datastore.sizeOf(young)).toBe(1000)
    expect(await place.datastore.sizeOf(spoilt.location)).toBe(1000)
    const marks = async ({ sha256 }: { sha256: string }) => await findObject(place.db.read, sha256)
    expect(await marks(gone)).toMatchObject({ lostAt: expect.any(Number), damagedAt: null })
    expect(await marks(spoilt)).toMatchObject({ lostAt: expect.any(Number), damagedAt: expect.any(Number) })
    expect(await marks(whole)).toMatchObject({ lostAt: null, damagedAt: null })

    const again = await checkAll(place, { verify: true })
    expect(again.findings).toEqual([])
    expect(again.checked.known.objects).toBe(2)
    for (const lost of [gone, spoilt]) expect((await place.store(lost.bytes)).location).not.toBe(lost.location)
    const healed = await checkAll(place, { verify: true })
    expect(healed.checked.known.objects).toBe(0)
    for (const lost of [gone, spoilt]) expect(await marks(lost)).toMatchObject({ lostAt: null, damagedAt: null })
  })

  test('tells every instance of what a repair marks, and of nothing else', async () => {
    await using place = await openPlace(engine)
    const [gone, spoilt] = [await place.store(), await place.store()]
    for (let number = 0; number < 5; number++) await place.store()
    await place.lose(gone)
    await place.spoil(spoilt)
    await place.age(await place.putOnly(), 2)
    const records = new Records(place)
    const changed: Changed[] = []
    onChanged(place.notifier, (change) => void changed.push(change))
    const find = async () => await records.find('example.org', spoilt.mediaId)
    expect(await find()).toMatchObject({ lostAt: null })
    await checkAndRepair(place)
    expect(await find()).toMatchObject({ lostAt: expect.any(Number) })
    const sha256s = changed.flatMap((change) => (change.kind === 'content' ? change.sha256s : ['all']))
    expect(sha256s.toSorted()).toEqual([gone.sha256, spoilt.sha256].toSorted())
    changed.length = 0
    await checkAndRepair(place)
    expect(changed).toEqual([])
  })

  test('unmarks what is there again, and only if its bytes are right', async () => {
    await using place = await openPlace(engine)
    const [right, wrong] = [await place.store(), await place.store()]
    await place.spoil(wrong)
    for (const { sha256, datastore, location } of [right, wrong]) {
      await place.db.write(markLost, { sha256, datastore, location, now: place.clock.now(), damaged: false })
    }
    const { repaired } = await checkAndRepair(place, { verify: false })
    expect(repaired.unmarked.objects).toBe(1)
    expect(await findObject(place.db.read, right.sha256)).toMatchObject({ lostAt: null })
    expect(await findObject(place.db.read, wrong.sha256)).toMatchObject({ damagedAt: expect.any(Number) })
    expect((await findObject(place.db.read, wrong.sha256))?.lostAt).not.toBeNull()
  })

  test('deletes nothing that has got its record since it was found', async () => {
    await using place = await openPlace(engine)
    for (let number = 0; number < 5; number++) await place.store()
    const orphan = await place.putOnly()
    await place.age(orphan, 2)
    await using notes = await CheckNotes.open<Finding>()
    await check(place, place.datastore, notes, { verify: false })
    expect([...notes.findings()]).toHaveLength(1)
    const { sha256 } = await place.store()
    await move(place, sha256, orphan)
    expect(await repair(place, place.datastore, notes)).toMatchObject({ dropped: { objects: 0 }, left: { objects: 1 } })
    expect(await place.datastore.sizeOf(orphan)).toBe(1000)
  })

  test('with the wrong database, or a disk that is not mounted, is not to be followed by a repair', async () => {
    await using place = await openPlace(engine)
    for (let number = 0; number < 30; number++) await place.store()
    await using empty = await openPlace(engine)
    for (const { location } of await Array.fromAsync(place.datastore.list())) await place.age(location, 3)
    const wrongDatabase = await checkAll({ ...place, db: empty.db })
    expect(wrongDatabase.checked.found.orphan.objects).toBe(30)
    expect(reasonsNotToRepair(wrongDatabase.checked)).toEqual([
      expect.stringMatching(/^30 of the 30 objects in media have no record: is this the right database/),
    ])

    await place.unmount()
    const unmounted = await checkAll(place)
    expect(unmounted.checked.found.lost.objects).toBe(30)
    expect(reasonsNotToRepair(unmounted.checked)).toEqual([
      expect.stringMatching(/^30 of the 30 .* is its disk mounted/),
    ])
  })

  test('finds objects beside the folders, where the oldest ones of matrix-media-repo are, by their records', async () => {
    await using place = await openPlace(engine)
    const { sha256, location } = await place.store()
    await rename(join(place.folder, location), join(place.folder, '0a1b2c'))
    await move(place, sha256, '0a1b2c')
    const { checked, findings } = await checkAll(place, { verify: true })
    expect(findings).toEqual([])
    expect(checked.verified.objects).toBe(1)
  })

  test('ends with the error of a datastore that breaks off', async () => {
    await using place = await openPlace(engine)
    await place.store()
    const broken: Datastore = {
      ...bound(place.datastore),
      async *list() {
        yield* place.datastore.list()
        throw new Error('the disk fell out')
      },
    }
    await using notes = await CheckNotes.open<Finding>()
    await expect(check(place, broken, notes, { verify: false })).rejects.toThrow('the disk fell out')
  })

  test('takes a thousand and more objects in batches', async () => {
    await using place = await openPlace(engine)
    await Promise.all(Array.from({ length: 1203 }, () => place.store(randomBytes(10))))
    const lost = await place.store(randomBytes(10))
    await place.lose(lost)
    const { checked, findings } = await checkAll(place)
    expect(checked.listed.objects).toBe(1203)
    expect(checked.records.objects).toBe(1204)
    expect(findings).toEqual([expect.objectContaining({ kind: 'lost', location: lost.location })])
  })
}

type Options = { readonly verify: boolean }

async function checkAll(place: Place, options: Options = { verify: false }) {
  await using notes = await CheckNotes.open<Finding>()
  const checked: Checked = await check(place, place.datastore, notes, options)
  return { checked, findings: [...notes.findings()] }
}

async function checkAndRepair(place: Place, options: Options = { verify: true }) {
  await using notes = await CheckNotes.open<Finding>()
  const checked = await check(place, place.datastore, notes, options)
  return { checked, repaired: await repair(place, place.datastore, notes) }
}

function byKind(findings: readonly Finding[]) {
  return Object.groupBy(
    findings.toSorted((a, b) => (a.location < b.location ? -1 : 1)),
    ({ kind }) => kind,
  )
}

/** The datastore's methods as an object's own, for a double that has some others. */
function bound(datastore: Datastore): Datastore {
  return {
    id: datastore.id,
    uri: datastore.uri,
    kinds: datastore.kinds,
    stage: (source, options) => datastore.stage(source, options),
    put: (staged, described) => datastore.put(staged, described),
    open: (location) => datastore.open(location),
    sizeOf: (location) => datastore.sizeOf(location),
    delete: (location) => datastore.delete(location),
    list: (options) => datastore.list(options),
    check: () => datastore.check(),
    [Symbol.asyncDispose]: async () => {},
  }
}

async function forget(place: Place, sha256: string): Promise<void> {
  await place.execute(`DELETE FROM media WHERE sha256 = '${sha256}'`)
  await place.execute(`DELETE FROM objects WHERE sha256 = '${sha256}'`)
}

/** Points an object's record at another place. */
async function move(place: Place, sha256: string, location: string): Promise<void> {
  await place.execute(`UPDATE objects SET location = '${location}' WHERE sha256 = '${sha256}'`)
}
