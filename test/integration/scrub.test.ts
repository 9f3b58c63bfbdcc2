import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { findObject } from '../../src/db/objects.ts'
import { progressOf } from '../../src/db/progress.ts'
import type { CareParts } from '../../src/media/lost.ts'
import { scrub } from '../../src/media/scrub.ts'
import { type Engine, openPlace } from '../support/care.ts'
import { describeWith } from '../support/services.ts'

const HOUR = 3600 * 1000
const BYTES = 'cellarium_scrubbed_bytes_total'

describe('The scrub, with records in SQLite,', () => suite('sqlite'))
describeWith('postgres', 'The scrub, with records in PostgreSQL,', () => suite('postgres'))

function suite(engine: Engine): void {
  test('reads everything once, says so, and begins anew with the next call', async () => {
    await using place = await openPlace(engine)
    for (let number = 0; number < 10; number++) await place.store()
    await scrub(place, { bytesPerHour: () => 1e9 })
    expect(place.counted(BYTES)).toBe(10_000)
    expect(place.lines).toContainEqual(
      expect.objectContaining({ objects: 10, bytes: 10_000, damaged: 0, lost: 0, unreadable: 0 }),
    )
    place.clock.wait(HOUR)
    await scrub(place, { bytesPerHour: () => 1e9 })
    expect(place.counted(BYTES)).toBe(20_000)
  })

  test('reads no more than its hourly budget, goes on where it was, and does not make up for time off', async () => {
    await using place = await openPlace(engine)
    for (let number = 0; number < 30; number++) await place.store(randomBytes(100_000))
    // Two objects a minute; five minutes may be made up for.
    const budget = { bytesPerHour: () => 2 * 60 * 100_000 }
    let now = place.clock.now()
    const stopped = { ...place, clock: { now: () => now } }
    await scrub(stopped, budget)
    expect(place.counted(BYTES)).toBe(11 * 100_000)
    await scrub(stopped, budget)
    expect(place.counted(BYTES)).toBe(11 * 100_000)
    now += 60_000
    await using other = await place.another()
    await scrub({ ...stopped, db: other }, budget)
    expect(place.counted(BYTES)).toBe(13 * 100_000)
    now += 24 * HOUR
    await scrub(stopped, budget)
    expect(place.counted(BYTES)).toBe(24 * 100_000)
  })

  test('marks and names what is damaged or gone, and deletes nothing', async () => {
    await using place = await openPlace(engine)
    const [spoilt, cut, gone] = [await place.store(), await place.store(), await place.store()]
    for (let number = 0; number < 10; number++) await place.store()
    await place.spoil(spoilt)
    await place.cut(cut, 10)
    await place.lose(gone)
    await scrub(place, { bytesPerHour: () => 1e9 })
    const marks = async ({ sha256 }: { sha256: string }) => await findObject(place.db.read, sha256)
    for (const damaged of [spoilt, cut]) {
      expect(await marks(damaged)).toMatchObject({ lostAt: null, damagedAt: expect.any(Number) })
      expect(place.lines).toContainEqual(
        expect.objectContaining({ location: damaged.location, msg: expect.stringContaining('is damaged') }),
      )
    }
    expect(await marks(gone)).toMatchObject({ lostAt: expect.any(Number), damagedAt: null })
    expect(place.counted('cellarium_objects_damaged_total')).toBe(2)
    expect(place.counted('cellarium_objects_lost_total')).toBe(1)
    expect(await place.datastore.sizeOf(spoilt.location)).toBe(1000)

    place.clock.wait(HOUR)
    await place.store(spoilt.bytes)
    await scrub(place, { bytesPerHour: () => 1e9 })
    expect(await marks(spoilt)).toMatchObject({ damagedAt: null })
    expect(place.counted('cellarium_objects_damaged_total')).toBe(2)
  })

  test('marks nothing as lost in a folder whose disk is not mounted, and nothing stays marked when it is back', async () => {
    await using place = await openPlace(engine)
    for (let number = 0; number < 10; number++) await place.store()
    const mount = await place.unmount()
    await scrub(place, { bytesPerHour: () => 1e9 })
    expect(place.counted('cellarium_objects_lost_total')).toBe(0)
    await mount()
    place.clock.wait(HOUR)
    await scrub(place, { bytesPerHour: () => 1e9 })
    expect(place.counted('cellarium_objects_lost_total')).toBe(0)
  })

  test('stops at a datastore that cannot be used, and goes on from there', async () => {
    await using place = await openPlace(engine)
    for (let number = 0; number < 10; number++) await place.store()
    let reads = 0
    const failing: CareParts = {
      ...place,
      datastores: {
        get: (id) => {
          const datastore = place.datastores.get(id)
          if (!datastore || ++reads <= 4) return datastore
          return new Proxy(datastore, { get: (of, name) => (name === 'uri' ? of.uri : down) })
        },
      },
    }
    await expect(scrub(failing, { bytesPerHour: () => 1e9 })).rejects.toThrow('no route to it')
    expect(place.counted(BYTES)).toBe(4000)
    await scrub(place, { bytesPerHour: () => 1e9 })
    expect(place.counted(BYTES)).toBe(10_000)
  })

  test('follows a change of its budget at once, and does nothing without one', async () => {
    await using place = await openPlace(engine)
    for (let number = 0; number < 10; number++) await place.store()
    await scrub(place, { bytesPerHour: () => 0 })
    expect(place.counted(BYTES)).toBe(0)
    let asked = 0
    await scrub(place, { bytesPerHour: () => (++asked > 8 ? 0 : 1e9) })
    expect(place.counted(BYTES)).toBeGreaterThan(0)
    expect(place.counted(BYTES)).toBeLessThan(10_000)
  })

  test('of two that run at once only one gets on, and nothing is skipped', async () => {
    await using place = await openPlace(engine)
    for (let number = 0; number < 40; number++) await place.store()
    await using other = await place.another()
    await Promise.all([
      scrub(place, { bytesPerHour: () => 1e9 }),
      scrub({ ...place, db: other }, { bytesPerHour: () => 1e9 }),
    ])
    expect(place.counted(BYTES)).toBeGreaterThanOrEqual(40_000)
    expect(JSON.parse((await progressOf(place.db.read, 'scrub')) ?? '{}')).toMatchObject({ after: '', objects: 0 })
  })
}

const down = async () => await Promise.reject(new Error('no route to it'))
