import { hash, randomBytes } from 'node:crypto'
import { expect, test, vi } from 'vitest'
import { findObject } from '../../src/db/objects.ts'
import { deleteUnused } from '../../src/media/unused.ts'
import { openPlace } from '../support/care.ts'
import { describeWith } from '../support/services.ts'

/** Commits that bring a new object take eight seconds, as on a disk or a standby that is slow. */
const SLOW_COMMIT = `
  create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(8); return null; end $$;
  create constraint trigger slow after insert on objects deferrable initially deferred
    for each row execute function slow()`

describeWith('postgres', 'A commit that PostgreSQL makes after the caller has given up', () => {
  test('keeps its bytes: they are not deleted because nobody saw their record yet', { timeout: 120_000 }, async () => {
    await using place = await openPlace('postgres', undefined, { answerMs: 3000 })
    const { db, datastores } = place
    const bytes = randomBytes(1000)
    const sha256 = hash('sha256', bytes)
    await place.execute(SLOW_COMMIT)
    await expect(place.store(bytes)).rejects.toMatchObject({ name: 'DatabaseUnavailable', mayCommit: true })
    const object = await vi.waitFor(
      async () => {
        const found = await findObject(db.read, sha256)
        if (!found) throw new Error('the commit is not made yet')
        return found
      },
      { timeout: 60_000, interval: 200 },
    )
    expect(await datastores.sizeOf(object)).toBe(bytes.length)

    await place.execute('update unused_objects set delete_after = 0')
    await deleteUnused(place, new AbortController().signal)
    expect(await datastores.sizeOf(object)).toBe(bytes.length)
  })
})
