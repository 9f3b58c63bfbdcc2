import { expect, test } from 'vitest'
import { LocalNotifier } from '../coordination/notifier.ts'
import type { Database } from '../db/connect.ts'
import { recordingLog } from '../../test/support/log.ts'
import { Reads } from './reads.ts'

const HOUR_MS = 3_600_000
const MEDIA = { origin: 'example.org', mediaId: 'a', accessedAt: null }
const THUMBNAIL = { sourceSha256: 'b', width: 32, height: 32, method: 'scale', variant: 'still' }

/** Reads whose writes are recorded, or fail as often as `failures` says. */
function recorded(failures = 0) {
  const written: unknown[] = []
  let now = 10 * HOUR_MS
  let left = failures
  const write = async ({ unit }: { unit: string }, rows: readonly { readonly at: number }[]) => {
    if (left-- > 0) throw new Error('the database is away')
    for (const { at } of rows) written.push(`${unit} ${at / HOUR_MS}`)
  }
  const { log, lines } = recordingLog()
  const reads = new Reads({
    db: { write } as unknown as Database,
    notifier: new LocalNotifier({ log }),
    clock: { now: () => now },
    log,
  })
  return { reads, written, lines, wait: (ms: number) => void (now += ms) }
}

test('What is read all the time is written down once an hour, also while its record is kept in memory', async () => {
  const { reads, written, wait } = recorded()
  await using _ = reads
  for (let time = 0; time < 30; time++) {
    reads.note(MEDIA)
    reads.noteThumbnail(THUMBNAIL, 0)
    await reads.flush()
    wait(HOUR_MS / 20)
  }
  expect(written).toEqual(['touchMedia 10', 'touchThumbnails 10', 'touchMedia 11', 'touchThumbnails 11'])
})

test('What was used within the hour, as its record says, is not written down again', async () => {
  const { reads, written } = recorded()
  await using _ = reads
  reads.note({ ...MEDIA, accessedAt: 9.5 * HOUR_MS })
  reads.noteThumbnail(THUMBNAIL, 9.5 * HOUR_MS)
  await reads.flush()
  expect(written).toEqual([])
})

test('What could not be written down is written with what comes next, and at the latest at the end', async () => {
  const { reads, written, lines } = recorded(1)
  reads.note(MEDIA)
  await reads.flush()
  expect(lines).toMatchObject([{ msg: 'could not write down when media were last read; it is tried again' }])
  await reads[Symbol.asyncDispose]()
  expect(written).toEqual(['touchMedia 10'])
})
