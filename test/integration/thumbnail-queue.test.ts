import { readFile } from 'node:fs/promises'
import { describe, expect, test, vi } from 'vitest'
import { ALICE, type AppOptions, startApp } from '../support/app.ts'
import { noise } from '../support/images.ts'

const PATIENT = { timeout: 20_000, interval: 200 }
const CLIENT = '/_matrix/client/v1/media/thumbnail'
/** With one worker, so many are under way. */
const UNDER_WAY = 4
const REFUSED = {
  status: 429,
  headers: { 'retry-after': '2' },
  json: { errcode: 'M_LIMIT_EXCEEDED', retry_after_ms: 2000 },
}

describe.runIf(process.platform === 'linux')('Thumbnails that have to wait, while the decoder stands still,', () => {
  test('are refused at once when there are too many; those that left make room, and all others are made', async () => {
    await using server = await startWaiting({ waiting: 20, longestWaitMs: 120_000 })
    server.stopDecoding()
    const leaving = new AbortController()
    const all = Array.from({ length: UNDER_WAY + 19 }, (_, index) => server.get(100 + index))
    const left = server.getUntil(leaving.signal, 800)
    await vi.waitFor(async () => expect(await server.isRefused(801)).toBe(true), PATIENT)
    expect(await server.get(801)).toMatchObject(REFUSED)
    // Who wants what is under way takes no place.
    const same = server.get(100)
    leaving.abort()
    expect(await left).toBe('left')
    const next = server.getUntil(new AbortController().signal, 802)
    await vi.waitFor(async () => expect(await server.isRefused(803)).toBe(true), PATIENT)
    server.goOn()
    const answers = await Promise.all([...all, same, next])
    expect(answers.map((answer) => (typeof answer === 'string' ? answer : answer.status))).toEqual(
      Array.from(answers, () => 200),
    )
  }, 60_000)

  test('are refused when their turn does not come in time', async () => {
    await using server = await startWaiting({ waiting: 20, longestWaitMs: 1000 })
    server.stopDecoding()
    const first = server.get(100)
    const others = Array.from({ length: UNDER_WAY + 3 }, (_, index) => server.get(101 + index))
    for (const answer of await Promise.all(others)) expect(answer).toMatchObject(REFUSED)
    server.goOn()
    expect((await first).status, 'the one that was being decoded').toBe(200)
  }, 60_000)
})

/** A server with one decoder, which has begun its work. */
async function startWaiting(thumbnailQueue: NonNullable<AppOptions['thumbnailQueue']>) {
  const thumbnails = { numWorkers: 1, dynamicSizing: true, sizes: [{ width: 1000, height: 1000 }] }
  const app = await startApp({ config: { thumbnails }, thumbnailQueue })
  const before = await children()
  const media = await app.upload(await noise({ width: 1000, height: 40 }).jpeg().toBuffer())
  const pathOf = (width: number) => `${CLIENT}/${media}?width=${width}&height=40&method=scale`
  const get = (width: number) => app.ask(pathOf(width), { token: ALICE.token })
  expect((await get(99)).status).toBe(200)
  const [worker = 0] = (await children()).filter((pid) => !before.includes(pid))
  expect(worker).toBeGreaterThan(0)
  const headers = { authorization: `Bearer ${ALICE.token}`, 'x-forwarded-host': 'example.org' }
  const getUntil = (signal: AbortSignal, width: number) =>
    fetch(app.url + pathOf(width), { signal, headers }).catch(() => 'left' as const)
  return {
    get,
    /** One whose caller can leave. */
    getUntil,
    /** Whether there is no room for one more. Asks only for a moment, so as not to take it. */
    isRefused: async (width: number) => {
      const answer = await getUntil(AbortSignal.timeout(500), width)
      return answer !== 'left' && answer.status === 429
    },
    stopDecoding: () => process.kill(worker, 'SIGSTOP'),
    goOn: () => process.kill(worker, 'SIGCONT'),
    [Symbol.asyncDispose]: async () => {
      process.kill(worker, 'SIGCONT')
      await app[Symbol.asyncDispose]()
    },
  }
}

async function children(): Promise<readonly number[]> {
  const text = await readFile(`/proc/self/task/${process.pid}/children`, 'utf8')
  return text.split(' ').filter(Boolean).map(Number)
}
