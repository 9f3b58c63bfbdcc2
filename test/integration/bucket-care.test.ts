import { randomBytes } from 'node:crypto'
import { access, rename, unlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { CheckNotes } from '../../src/db/check-notes.ts'
import { findObject } from '../../src/db/objects.ts'
import { check, type Finding } from '../../src/media/check.ts'
import { repair } from '../../src/media/repair.ts'
import { scrub } from '../../src/media/scrub.ts'
import { sweep } from '../../src/media/sweep.ts'
import { openPlace, type Place } from '../support/care.ts'
import { startS3Double } from '../support/s3-double.ts'
import { describeWith } from '../support/services.ts'
import { startVersitygw } from '../support/versitygw.ts'

const DAY = 24 * 3600 * 1000

/** A bucket whose objects can be harmed past S3. */
interface HarmedBucket extends AsyncDisposable {
  readonly options: Readonly<Record<string, string>>
  readonly has: (key: string) => Promise<boolean>
  readonly lose: (key: string) => Promise<unknown>
  /** Puts other bytes of the same length in its place. */
  readonly spoil: (key: string, size: number) => Promise<unknown>
  /** Makes it look as if it had been put so many days ago. */
  readonly age: (key: string, days: number) => Promise<unknown>
  readonly removeBucket: () => Promise<unknown>
}

describe('A bucket of the S3 double', () => suite(harmedDouble))
describeWith('versitygw', 'A bucket of a real S3 server', () => suite(harmedVersitygw))

function suite(start: () => Promise<HarmedBucket>): void {
  test('is checked and repaired as a folder is', async () => {
    await using bucket = await start()
    await using place = await openPlace('sqlite', bucket.options)
    const [gone, spoilt] = [await place.store(), await place.store()]
    for (let number = 0; number < 6; number++) await place.store()
    const [orphan, young] = [await place.putOnly(), await place.putOnly()]
    await bucket.age(orphan, 2)
    await bucket.lose(gone.location)
    await bucket.spoil(spoilt.location, spoilt.size)
    await using notes = await CheckNotes.open<Finding>()
    const checked = await check(place, place.datastore, notes, { verify: true })
    const one = { objects: 1, bytes: 1000 }
    expect(checked.found).toEqual({ orphan: one, lost: one, damaged: one, recovered: { objects: 0, bytes: 0 } })
    expect(checked).toMatchObject({ listed: { objects: 9 }, records: { objects: 8 }, young: one })
    expect(await repair(place, place.datastore, notes)).toMatchObject({
      dropped: one,
      markedLost: one,
      markedDamaged: one,
    })
    expect(await Promise.all([orphan, young, spoilt.location].map(bucket.has))).toEqual([false, true, true])
    for (const { bytes, sha256 } of [gone, spoilt]) {
      await place.store(bytes)
      expect(await findObject(place.db.read, sha256)).toMatchObject({ lostAt: null, damagedAt: null })
    }
    await using again = await CheckNotes.open<Finding>()
    await check(place, place.datastore, again, { verify: true })
    expect([...again.findings()].map(({ kind }) => kind)).toEqual([])
  })

  test('that is gone is no list of lost files', async () => {
    await using bucket = await start()
    await using place = await openPlace('sqlite', bucket.options)
    for (let number = 0; number < 4; number++) await place.store()
    await bucket.removeBucket()
    await using notes = await CheckNotes.open<Finding>()
    await expect(check(place, place.datastore, notes, { verify: false })).rejects.toThrow()
    await expect(scrub(place, { bytesPerHour: () => 1e9 })).rejects.toThrow()
    expect([...notes.findings()]).toEqual([])
    expect(await lostOnes(place)).toBe(0)
  })

  test('is swept of what crashes left, and scrubbed', async () => {
    await using bucket = await start()
    await using place = await openPlace('sqlite', bucket.options)
    const stored = [await place.store(), await place.store(), await place.store()]
    const orphan = await place.putOnly()
    expect(await sweep(place, place.datastore)).toBe(0)
    place.clock.wait(1.5 * DAY)
    expect(await sweep(place, place.datastore)).toBe(1)
    expect(await bucket.has(orphan)).toBe(false)
    expect(await Promise.all(stored.map(({ location }) => bucket.has(location)))).toEqual([true, true, true])
    await bucket.spoil(stored[0]?.location ?? '', 1000)
    await scrub(place, { bytesPerHour: () => 1e9 })
    expect(place.counted('cellarium_objects_damaged_total')).toBe(1)
  })

  test('of more objects than a page of its list has is listed whole', async () => {
    await using bucket = await start()
    await using place = await openPlace('sqlite', bucket.options)
    const stored = await Promise.all(Array.from({ length: 60 }, () => place.store()))
    await Promise.all(Array.from({ length: 1000 }, () => place.putOnly(randomBytes(1))))
    await bucket.lose(stored[7]?.location ?? '')
    await using notes = await CheckNotes.open<Finding>()
    const checked = await check(place, place.datastore, notes, { verify: false })
    expect(checked).toMatchObject({ listed: { objects: 1059 }, records: { objects: 60 }, young: { objects: 1000 } })
    expect([...notes.findings()]).toEqual([expect.objectContaining({ kind: 'lost', location: stored[7]?.location })])
  })
}

async function harmedDouble(): Promise<HarmedBucket> {
  const double = await startS3Double()
  const change = async (key: string, how: Partial<{ bytes: Buffer; putAt: Date }>) => {
    const stored = double.objects.get(key)
    if (!stored) throw new Error(`there is no ${key}`)
    double.objects.set(key, { ...stored, ...how })
  }
  return {
    options: double.options,
    has: async (key) => double.objects.has(key),
    lose: async (key) => double.objects.delete(key),
    spoil: (key, size) => change(key, { bytes: randomBytes(size) }),
    age: (key, days) => change(key, { putAt: new Date(Date.now() - days * DAY) }),
    removeBucket: async () => (double.settings.bucketMissing = true),
    [Symbol.asyncDispose]: () => double[Symbol.asyncDispose](),
  }
}

async function harmedVersitygw(): Promise<HarmedBucket> {
  const server = await startVersitygw()
  const at = (key: string) => join(server.folder, key)
  return {
    options: { ...server.options, prefixLength: '2' },
    has: (key) =>
      access(at(key)).then(
        () => true,
        () => false,
      ),
    lose: (key) => unlink(at(key)),
    spoil: (key, size) => writeFile(at(key), randomBytes(size)),
    age: async (key, days) => {
      const then = Date.now() / 1000 - (days * DAY) / 1000
      await utimes(at(key), then, then)
    },
    removeBucket: () => rename(server.folder, `${server.folder}-elsewhere`),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

async function lostOnes({ db }: Place): Promise<number> {
  return (await db.read.selectFrom('objects').select('sha256').where('lost_at', 'is not', null).execute()).length
}
