import { expect, test } from 'vitest'
import { CheckNotes } from '../../src/db/check-notes.ts'
import { findObject } from '../../src/db/objects.ts'
import { check, type Finding } from '../../src/media/check.ts'
import { repair } from '../../src/media/repair.ts'
import { scrub } from '../../src/media/scrub.ts'
import { sweep } from '../../src/media/sweep.ts'
import { openPlace, type Place } from '../support/care.ts'
import { type S3Double, startS3Double } from '../support/s3-double.ts'

const DAY = 24 * 3600 * 1000

test('A bucket is checked and repaired as a folder is', async () => {
  await using double = await startS3Double()
  await using place = await openPlace('sqlite', double.options)
  const [gone, spoilt] = [await place.store(), await place.store()]
  for (let number = 0; number < 6; number++) await place.store()
  const orphan = await place.putOnly()
  age(double, orphan, 2)
  double.objects.delete(gone.location)
  harm(double, spoilt.location)
  await using notes = await CheckNotes.open<Finding>()
  const { found } = await check(place, place.datastore, notes, { verify: true })
  const one = { objects: 1, bytes: 1000 }
  expect(found).toEqual({ orphan: one, lost: one, damaged: one, recovered: { objects: 0, bytes: 0 } })
  expect(await repair(place, place.datastore, notes)).toMatchObject({
    dropped: one,
    markedLost: one,
    markedDamaged: one,
  })
  expect(double.objects.has(orphan)).toBe(false)
  expect(double.objects.has(spoilt.location)).toBe(true)
  for (const { bytes, sha256 } of [gone, spoilt]) {
    await place.store(bytes)
    expect(await findObject(place.db.read, sha256)).toMatchObject({ lostAt: null, damagedAt: null })
  }
})

test('A bucket that is gone is no list of lost files', async () => {
  await using double = await startS3Double()
  await using place = await openPlace('sqlite', double.options)
  for (let number = 0; number < 4; number++) await place.store()
  double.settings.bucketMissing = true
  await using notes = await CheckNotes.open<Finding>()
  await expect(check(place, place.datastore, notes, { verify: false })).rejects.toThrow()
  await expect(scrub(place, { bytesPerHour: () => 1e9 })).rejects.toThrow()
  expect([...notes.findings()]).toEqual([])
  expect(await lostOnes(place)).toBe(0)
})

test('A bucket is swept of what crashes left, and scrubbed', async () => {
  await using double = await startS3Double()
  await using place = await openPlace('sqlite', double.options)
  const stored = [await place.store(), await place.store(), await place.store()]
  const orphan = await place.putOnly()
  expect(await sweep(place, place.datastore)).toBe(0)
  place.clock.wait(1.5 * DAY)
  expect(await sweep(place, place.datastore)).toBe(1)
  expect(double.objects.has(orphan)).toBe(false)
  harm(double, stored[0]?.location ?? '')
  await scrub(place, { bytesPerHour: () => 1e9 })
  expect(place.counted('cellarium_objects_damaged_total')).toBe(1)
})

function age(double: S3Double, key: string, days: number): void {
  const stored = double.objects.get(key)
  if (stored) double.objects.set(key, { ...stored, putAt: new Date(Date.now() - days * DAY) })
}

function harm(double: S3Double, key: string): void {
  const stored = double.objects.get(key)
  if (stored) double.objects.set(key, { ...stored, bytes: Buffer.alloc(stored.bytes.length) })
}

async function lostOnes({ db }: Place): Promise<number> {
  return (await db.read.selectFrom('objects').select('sha256').where('lost_at', 'is not', null).execute()).length
}
