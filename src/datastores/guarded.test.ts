import { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import { CallerGone, Refused, StorageUnavailable } from '../lib/errors.ts'
import { type Datastore, ObjectMissing, type OpenObject } from './datastore.ts'
import { GuardedDatastore, type GuardParts } from './guarded.ts'
import { S3Failure } from './s3/failure.ts'
import type { StagedFile } from './staging.ts'

const STAGED: StagedFile = {
  path: '/x',
  size: 1,
  sha256: 'x',
  sync: async () => {},
  used: () => {},
  async [Symbol.asyncDispose]() {},
}
const TYPE = { contentType: 'text/plain' }

/** A datastore that does what it is told, behind a guard whose clock stands still unless put forward. */
function guarded(inner: Partial<Datastore>, waits: GuardParts['waits'] = {}) {
  let now = 0
  const heard: unknown[] = []
  const datastore = new GuardedDatastore(
    {
      id: 'main',
      uri: 'nowhere',
      kinds: new Set(),
      stage: async () => STAGED,
      put: async () => 'here',
      open: async () => opened([Buffer.from('a')]),
      sizeOf: async () => 1,
      delete: async () => {},
      async *list() {},
      check: async () => {},
      async [Symbol.asyncDispose]() {},
      ...inner,
    },
    { now: () => now, onChange: (problem) => heard.push(problem), waits: { firstProbeMs: 3_600_000, ...waits } },
  )
  return { datastore, heard, wait: (ms: number) => void (now += ms) }
}

function opened(chunks: readonly (Buffer | Error)[], closed = vi.fn()): OpenObject {
  return {
    size: 1,
    async *read() {
      for (const chunk of chunks) {
        if (chunk instanceof Error) throw chunk
        yield chunk
      }
    },
    async [Symbol.asyncDispose]() {
      closed()
    },
  }
}

const withCode = (code: string) => Object.assign(new Error(`${code}: it does not work`), { code })
const fromS3 = (name: string, httpStatusCode: number) =>
  Object.assign(new Error(name), { name, $fault: 'server', $metadata: { httpStatusCode } })
/** As the S3 datastore tells what the SDK threw. */
const told = (cause: unknown) => new S3Failure('datastore main: PutObject key', cause)
const failure = async (work: Promise<unknown>) =>
  await work.then(
    () => undefined,
    (error: unknown) => error,
  )

describe('A failure of a datastore', () => {
  test.for([
    ['no space left', withCode('ENOSPC'), 'full'],
    ['a quota', withCode('EDQUOT'), 'full'],
    ['S3 without room', fromS3('XMinioStorageFull', 507), 'full'],
    ['permission lost', withCode('EACCES'), 'down'],
    ['a read-only disk', withCode('EROFS'), 'down'],
    ['a broken disk', withCode('EIO'), 'down'],
    ['a vanished network disk', withCode('ESTALE'), 'down'],
    ['S3 that refuses connections', withCode('ECONNREFUSED'), 'down'],
    ['a name that is not found', withCode('EAI_AGAIN'), 'down'],
    ['S3 that answers 503', fromS3('SlowDown', 503), 'down'],
    ['S3 that does not let us in any more', fromS3('InvalidAccessKeyId', 403), 'down'],
    ['S3 that is too slow', Object.assign(new Error('too slow'), { name: 'TimeoutError' }), 'down'],
    ['a bucket whose quota is used up, as our datastore tells it', told(fromS3('QuotaExceeded', 403)), 'full'],
    ['S3 without room, as our datastore tells it', told(fromS3('InsufficientStorage', 507)), 'full'],
    ['S3 that stays busy, as our datastore tells it', told(fromS3('SlowDown', 503)), 'down'],
    ['a bucket that is gone, as our datastore tells it', told(fromS3('NoSuchBucket', 404)), 'down'],
    ['rights that are gone, as our datastore tells it', told(fromS3('AccessDenied', 403)), 'down'],
    ['a clock that is wrong, as our datastore tells it', told(fromS3('RequestTimeTooSkewed', 403)), 'down'],
    ['S3 without an answer, as our datastore tells it', told(withCode('ECONNRESET')), 'down'],
    ['S3 that hangs, as our datastore tells it', told(Object.assign(new Error('x'), { code: 'TimeoutError' })), 'down'],
    ['what the datastore itself calls an outage', new StorageUnavailable('no'), 'down'],
    ['too many open files of ours', withCode('EMFILE'), undefined],
  ] as const)('%s is an outage for who asked, with its cause', async ([, error, outage]) => {
    const { datastore, heard } = guarded({ put: async () => await Promise.reject(error) })
    const seen = await failure(datastore.put(STAGED, TYPE))
    expect(seen).toBeInstanceOf(StorageUnavailable)
    if (seen !== error) expect(seen).toMatchObject({ cause: error, retryAfterMs: expect.any(Number) })
    expect(datastore.outage).toBe(outage)
    expect(heard).toEqual(outage === undefined ? [] : [error])
  })

  test.for([
    ['that an object is missing', new ObjectMissing('main', 'there')],
    ['a refusal', new Refused('too_large', 'too large')],
    ['that the caller left', new CallerGone('gone')],
    ['a defect', new TypeError('undefined is not a function')],
    ['a defect while S3 is asked', told(new TypeError('undefined is not a function'))],
    ['a wrong argument', withCode('ERR_INVALID_ARG_TYPE')],
  ])('is passed on as it is where it is none: %s', async ([, error]) => {
    const { datastore, heard } = guarded({ open: async () => await Promise.reject(error) })
    expect(await failure(datastore.open('there'))).toBe(error)
    expect([datastore.outage, heard]).toEqual([undefined, []])
  })

  test('of the sender, while a file is received, is not one of the datastore', async () => {
    const { datastore, heard } = guarded({
      async stage(source) {
        for await (const _ of source);
        return STAGED
      },
    })
    const broken = withCode('ECONNRESET')
    async function* body() {
      yield Buffer.from('a')
      throw broken
    }
    expect(await failure(datastore.stage(body(), { maxBytes: 0 }))).toBe(broken)
    expect(heard).toEqual([])
  })

  test('in the middle of reading is an outage', async () => {
    const { datastore } = guarded({ open: async () => opened([Buffer.from('a'), withCode('EIO')]) })
    const object = await datastore.open('there')
    const chunks: string[] = []
    const reading = (async () => {
      for await (const chunk of object.read({ start: 0, end: 1 })) chunks.push(String(chunk))
    })()
    expect(await failure(reading)).toBeInstanceOf(StorageUnavailable)
    expect([chunks, datastore.outage]).toEqual([['a'], 'down'])
  })

  test('of writing does not keep from reading, and the other way round', async () => {
    const { datastore } = guarded({ put: async () => await Promise.reject(withCode('ENOSPC')) })
    await failure(datastore.put(STAGED, TYPE))
    expect(datastore.refusesWrites).toBe(true)
    expect((await datastore.open('there')).size).toBe(1)
    expect(datastore.outage).toBe('full')
  })
})

test('What a datastore knows of its objects besides their bytes is passed on', async () => {
  const bytes = Buffer.from('a')
  const offload = { name: 'X-Sendfile', value: '/there' } as never
  const part = { start: 0, end: 0 }
  const open = vi.fn(async () => ({ ...opened([bytes]), bytes, offload }))
  const url = new URL('https://example.org/there')
  const link = vi.fn(async () => url)
  const { datastore } = guarded({ open, link, localPath: (location) => `/media/${location}` })
  expect(await datastore.open('there', part)).toMatchObject({ size: 1, bytes, offload })
  expect(open).toHaveBeenCalledWith('there', part)
  expect(datastore.localPath?.('there')).toBe('/media/there')
  const presented = { contentType: 'text/plain', disposition: 'inline' }
  expect(await datastore.link?.('there', presented)).toBe(url)
  expect(link).toHaveBeenCalledWith('there', presented)
  expect(guarded({}).datastore.link).toBeUndefined()
})

describe('An outage', () => {
  test('is told once, and its end once, after a quiet second', async () => {
    let broken = true
    const problem = withCode('EIO')
    const put = async () => (broken ? await Promise.reject(problem) : 'here')
    const { datastore, heard, wait } = guarded({ put })
    for (let round = 0; round < 5; round++) await failure(datastore.put(STAGED, TYPE))
    broken = false
    await datastore.put(STAGED, TYPE)
    expect(heard).toEqual([problem])
    wait(1500)
    await datastore.put(STAGED, TYPE)
    await datastore.put(STAGED, TYPE)
    expect(heard).toEqual([problem, undefined])
  })

  test('whose failures are quick lets each call try', async () => {
    const put = vi.fn(async () => await Promise.reject(withCode('EACCES')))
    const { datastore } = guarded({ put })
    for (let round = 0; round < 3; round++) await failure(datastore.put(STAGED, TYPE))
    expect(put).toHaveBeenCalledTimes(3)
  })

  test('whose failures are slow refuses calls at once, also before a body is read, until a look in the background finds it over', async () => {
    let broken = true
    const check = async () => (broken ? await Promise.reject(withCode('ECONNREFUSED')) : undefined)
    const put = vi.fn(async () => {
      parts.wait(5000)
      return broken ? await Promise.reject(withCode('ETIMEDOUT')) : 'here'
    })
    const stage = vi.fn(async () => STAGED)
    const parts = guarded({ put, stage, check }, { firstProbeMs: 10, lastProbeMs: 20 })
    const { datastore, heard } = parts
    await failure(datastore.put(STAGED, TYPE))
    for (let round = 0; round < 3; round++) {
      expect(await failure(datastore.put(STAGED, TYPE))).toBeInstanceOf(StorageUnavailable)
    }
    expect(await failure(datastore.stage(Readable.from([]), { maxBytes: 0 }))).toBeInstanceOf(StorageUnavailable)
    expect([put.mock.calls.length, stage.mock.calls.length]).toEqual([1, 0])
    expect((await datastore.open('there')).size).toBe(1)

    broken = false
    await vi.waitFor(() => expect(datastore.outage).toBeUndefined(), 10_000)
    expect(await datastore.put(STAGED, TYPE)).toBe('here')
    expect(heard).toHaveLength(2)
    await datastore[Symbol.asyncDispose]()
  })

  test('is not looked after any more once the datastore is closed', async () => {
    const check = vi.fn(async () => await Promise.reject(withCode('EIO')))
    const { datastore } = guarded({ check }, { firstProbeMs: 5, lastProbeMs: 5 })
    await failure(datastore.check())
    await vi.waitFor(() => expect(check.mock.calls.length).toBeGreaterThan(2), 10_000)
    await datastore[Symbol.asyncDispose]()
    const before = check.mock.calls.length
    await pause(50)
    expect(check.mock.calls.length).toBeLessThanOrEqual(before + 1)
  })
})

describe('A datastore that does not answer', () => {
  test('is given up after a time, and what comes later is closed', async () => {
    const closed = vi.fn()
    const late = Promise.withResolvers<OpenObject>()
    const { datastore } = guarded({ open: () => late.promise }, { answerMs: 20 })
    expect(await failure(datastore.open('there'))).toMatchObject({
      name: 'StorageUnavailable',
      cause: { code: 'ETIMEDOUT', message: 'datastore main did not answer within 20 ms' },
    })
    late.resolve(opened([], closed))
    await vi.waitFor(() => expect(closed).toHaveBeenCalledTimes(1))
  })

  test('is looked at by one check at a time', async () => {
    const check = vi.fn(() => new Promise<void>(() => {}))
    const { datastore } = guarded({ check }, { checkMs: 10 })
    await Promise.all([failure(datastore.check()), failure(datastore.check())])
    expect(await failure(datastore.check())).toBeInstanceOf(StorageUnavailable)
    expect(check).toHaveBeenCalledTimes(1)
    expect(datastore.outage).toBe('down')
  })
})
