import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { LocalNotifier } from '../coordination/notifier.ts'
import type { Database } from '../db/connect.ts'
import { recordingLog } from '../../test/support/log.ts'
import { Reads, settleReads } from './reads.ts'

const HOUR_MS = 3_600_000
const MEDIA = { origin: 'example.org', mediaId: 'a', accessedAt: null }
const THUMBNAIL = { width: 32, height: 32, method: 'scale' }

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
    reads.noteThumbnail('b', THUMBNAIL, { variant: 'still', usedAt: 0 })
    await reads.flush()
    wait(HOUR_MS / 20)
  }
  expect(written).toEqual(['touchMedia 10', 'touchThumbnails 10', 'touchMedia 11', 'touchThumbnails 11'])
})

test('What was used within the hour, as its record says, is not written down again', async () => {
  const { reads, written } = recorded()
  await using _ = reads
  reads.note({ ...MEDIA, accessedAt: 9.5 * HOUR_MS })
  reads.noteThumbnail('b', THUMBNAIL, { variant: 'still', usedAt: 9.5 * HOUR_MS })
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

test('Whoever asks all instances waits for what each has noted, and for what is being written', async () => {
  const { log } = recordingLog()
  await using notifier = new LocalNotifier({ log })
  const written: string[] = []
  const held = Promise.withResolvers<void>()
  const instance = (name: string, wait: Promise<void>) => {
    const write = async () => {
      await wait
      written.push(name)
    }
    return new Reads({ db: { write } as unknown as Database, notifier, clock: { now: () => 0 }, log })
  }
  await using here = instance('here', Promise.resolve())
  await using there = instance('there', held.promise)
  here.note(MEDIA)
  there.note(MEDIA)
  const flushing = there.flush()
  let isSettled = false
  const settled = settleReads(notifier).then(() => (isSettled = true))
  await pause(50)
  expect([written, isSettled]).toEqual([['here'], false])
  held.resolve()
  await Promise.all([settled, flushing])
  expect(written).toEqual(['here', 'there'])
})

test('Reads beyond what fits in one batch are noted with the next', async () => {
  const { reads, written } = recorded()
  await using _ = reads
  const all = Array.from({ length: 10_050 }, (_item, index) => ({ ...MEDIA, mediaId: `m${index}` }))
  for (const media of all) reads.note(media)
  await reads.flush()
  const before = written.length
  for (const media of all.slice(-50)) reads.note(media)
  await reads.flush()
  expect([before, written.length]).toEqual([10_000, 10_050])
})
