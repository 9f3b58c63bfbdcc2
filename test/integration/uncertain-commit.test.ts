import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { commitMedia } from '../../src/db/media.ts'
import type { OfferedObject } from '../../src/db/objects.ts'
import { LocalNotifier } from '../../src/coordination/notifier.ts'
import { DatabaseUnavailable } from '../../src/lib/errors.ts'
import { DatastoreSizes } from '../../src/media/choose.ts'
import { storeObject } from '../../src/media/objects.ts'
import { deleteUnused } from '../../src/media/unused.ts'
import { media } from '../contract/database/support.ts'
import { chunksOf } from '../support/bytes.ts'
import { openPlace, type Place } from '../support/care.ts'

const never = new AbortController().signal

describe('The bytes of an upload whose commit was not answered', () => {
  test('stay when the database made the commit after all, after the upload had failed', async () => {
    await using place = await openPlace('sqlite')
    const offered = await failToCommit(place)
    await place.db.write(commitMedia, media({ mediaId: 'late', object: offered }))
    await whenCertain(place)
    expect(await place.datastore.sizeOf(offered.location)).toBe(offered.size)
  })

  test('are deleted an hour later when it did not', async () => {
    await using place = await openPlace('sqlite')
    const offered = await failToCommit(place)
    await deleteUnused(place, never)
    expect(await place.datastore.sizeOf(offered.location), 'not yet').toBe(offered.size)
    await whenCertain(place)
    expect(await place.datastore.sizeOf(offered.location)).toBeUndefined()
  })

  test('are deleted at once when the commit was refused', async () => {
    await using place = await openPlace('sqlite')
    const offered = await failToCommit(place, new Error('a constraint'))
    expect(await place.datastore.sizeOf(offered.location)).toBeUndefined()
  })
})

/** An upload that comes as far as its commit, which fails with `error`. */
async function failToCommit(
  place: Place,
  error: Error = new DatabaseUnavailable('no answer', { retryAfterMs: 1000 }),
): Promise<OfferedObject> {
  const { db, datastores, datastore, clock, events } = place
  await using notifier = new LocalNotifier(events)
  const parts = { db, datastores, datastoreSizes: new DatastoreSizes({ db, clock }), notifier, log: events.log }
  await using staged = await datastore.stage(chunksOf(randomBytes(1000)), { maxBytes: 0 })
  let offered: OfferedObject | undefined
  const storing = storeObject(parts, staged, { datastore, contentType: 'image/png' }, async (object) => {
    offered = object
    throw error
  })
  await expect(storing).rejects.toBe(error)
  if (!offered) throw new Error('it was not offered')
  return offered
}

async function whenCertain(place: Place): Promise<void> {
  await place.execute('UPDATE unused_objects SET delete_after = 0')
  await deleteUnused(place, never)
}
