import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { FairWorkQueue, WorkQueue } from './work-queue.ts'

const open = (waiting: number) => new WorkQueue({ atATime: 2, waiting, retryMs: 700, what: 'loaves are baked' })
const never = new AbortController().signal

test('So much is done at a time, and the rest in the order in which it came', async () => {
  const queue = open(10)
  const done = Array.from({ length: 5 }, () => Promise.withResolvers<void>())
  const begun: number[] = []
  const all = done.map(({ promise }, index) =>
    queue.run(never, async () => {
      begun.push(index)
      await promise
      return index
    }),
  )
  await turn()
  expect(begun).toEqual([0, 1])
  done[1]?.resolve()
  await all[1]
  await turn()
  expect(begun).toEqual([0, 1, 2])
  for (const { resolve } of done) resolve()
  expect(await Promise.all(all)).toEqual([0, 1, 2, 3, 4])
  await queue.idle()
})

test.for([0, 3])('Of what is more than may wait (%i), each is refused at once', async (waiting) => {
  const queue = open(waiting)
  const gate = Promise.withResolvers<void>()
  const all = Array.from({ length: 2 + waiting }, () => queue.run(never, () => gate.promise))
  await expect(queue.run(never, async () => {})).rejects.toMatchObject({
    reason: 'limited',
    message: `Too many loaves are baked (${waiting} wait); try again later`,
    options: { retryAfterMs: 700 },
  })
  gate.resolve()
  await Promise.all(all)
  expect(await queue.run(never, async () => 'again')).toBe('again')
})

test('Whoever leaves the queue makes room; what has begun keeps its place until it ends', async () => {
  const queue = open(1)
  const gate = Promise.withResolvers<void>()
  const running = new AbortController()
  const held = [queue.run(running.signal, () => gate.promise), queue.run(never, () => gate.promise)]
  const leaving = new AbortController()
  const left = queue.run(leaving.signal, async () => 'never')
  leaving.abort(new Error('gone'))
  await expect(left).rejects.toThrow('gone')
  running.abort(new Error('too late'))
  let begun = false
  const next = queue.run(never, async () => void (begun = true))
  await turn()
  expect(begun).toBe(false)
  gate.resolve()
  await Promise.all([...held, next])
  expect(begun).toBe(true)
})

test('What waits for too long is refused and makes room; what has begun may take as long as it likes', async () => {
  const queue = new WorkQueue({ atATime: 1, waiting: 1, longestWaitMs: 50, retryMs: 700, what: 'loaves are baked' })
  const gate = Promise.withResolvers<string>()
  const begun = queue.run(never, () => gate.promise)
  const refused = { reason: 'limited', options: { retryAfterMs: 700 } }
  await expect(queue.run(never, async () => 'never')).rejects.toMatchObject(refused)
  expect(queue.waiting).toBe(0)
  const next = queue.run(never, async () => 'next')
  gate.resolve('done')
  expect(await begun).toBe('done')
  expect(await next).toBe('next')
})

test('One key takes no more than half of the places, and what waits is counted for all', async () => {
  const queue = new FairWorkQueue({ atATime: 4, waiting: 3, retryMs: 700, what: 'loaves are baked' })
  const gates = Array.from({ length: 7 }, () => Promise.withResolvers<void>())
  const begun: string[] = []
  const keys = ['slow', 'slow', 'slow', 'slow', 'one', 'other', 'third']
  const all = keys.map((key, index) =>
    queue.run(key, never, async () => {
      begun.push(key)
      await gates[index]?.promise
    }),
  )
  await turn()
  expect(begun).toEqual(['slow', 'slow', 'one', 'other'])
  await expect(queue.run('fourth', never, async () => {})).rejects.toMatchObject({ reason: 'limited' })
  gates[0]?.resolve()
  await all[0]
  await turn()
  expect(begun.slice(4)).toEqual([expect.stringMatching(/slow|third/)])
  for (const { resolve } of gates) resolve()
  await Promise.all(all)
  expect(begun).toHaveLength(7)
})

test('A place is lent while its holder waits for others, and taken again before the holder goes on', async () => {
  const queue = new FairWorkQueue({ atATime: 1, waiting: 3, retryMs: 700, what: 'loaves are baked' })
  const [answer, gate] = [Promise.withResolvers<string>(), Promise.withResolvers<void>()]
  const done: string[] = []
  const waiting = queue.run('silent', never, async ({ lend }) => void done.push(await lend(1, answer.promise)))
  const lent = Promise.withResolvers<void>()
  const other = queue.run('other', never, async () => {
    lent.resolve()
    await gate.promise
    done.push('other')
  })
  await lent.promise
  answer.resolve('silent')
  await turn()
  expect(done, 'its place is somebody else\u2019s').toEqual([])
  gate.resolve()
  await Promise.all([waiting, other])
  expect(done).toEqual(['other', 'silent'])
})

test('A lent place is not needed to fail or to leave, and nobody loses one by it', async () => {
  const queue = new FairWorkQueue({ atATime: 1, waiting: 3, retryMs: 700, what: 'loaves are baked' })
  const [failing, gate] = [Promise.withResolvers<string>(), Promise.withResolvers<void>()]
  const leaving = new AbortController()
  const failed = queue.run('one', never, ({ lend }) => lend(1, failing.promise))
  const left = queue.run('two', leaving.signal, ({ lend }) =>
    lend(
      1,
      Promise.resolve(gate.promise).then(() => 'late'),
    ),
  )
  const third = queue.run('three', never, async () => {
    failing.reject(new Error('no answer'))
    await expect(failed).rejects.toThrow('no answer')
    gate.resolve()
    await turn()
    leaving.abort(new Error('gone'))
    await expect(left).rejects.toThrow('gone')
  })
  await third
  expect(await queue.run('four', never, async () => 'free')).toBe('free')
})
