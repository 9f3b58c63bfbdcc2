import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { ALICE, type Asked, BOB, eventually, heldClock } from '../support/app.ts'
import { downloadOf, type Federated, halved, startFederated } from '../support/remote.ts'
import { head, mixed, response, type Script, startScriptedOrigin } from '../support/scripted-origin.ts'
import { describeWith } from '../support/services.ts'

const { token } = ALICE
/** Less than what is kept back of a file of unknown length: of one that is larger, nothing has been sent when that shows. */
const LIMIT = 60_000
const SECRET = 'shared_secret_Jk1z'

describeWith('openssl', 'What a server does not give', () => {
  const clock = heldClock()
  let world: Federated
  beforeAll(async () => {
    const sharedSecretAuth = { enabled: true, token: SECRET }
    const downloads = { maxBytes: LIMIT, failureCacheMinutes: 5 }
    world = await startFederated({ clock, config: { downloads, sharedSecretAuth } })
  })
  afterAll(() => world[Symbol.asyncDispose]())
  const download = (media: string, query = '', asked: Asked = {}) =>
    world.app.ask(downloadOf(media) + query, { token, ...asked })
  const says = (status: number, errcode: string) => world.remote.put(sendsError(status, errcode))

  test('is not there for five minutes, then it is asked for again', async () => {
    const media = `${world.remote.name}/nothing_here`
    for (let round = 0; round < 3; round++) {
      const { status, json } = await download(media)
      expect([status, json['errcode']]).toEqual([404, 'M_NOT_FOUND'])
    }
    expect(world.remote.asked(media)).toBe(1)
    clock.wait(5 * 60_000)
    await download(media)
    expect(world.remote.asked(media)).toBe(2)
  })

  test('is asked for again once an administrator has tested that server', async () => {
    const media = `${world.remote.name}/not_here_either`
    for (let round = 0; round < 2; round++) await download(media)
    const path = `/_matrix/media/unstable/admin/federation/test/${world.remote.name}`
    expect(await world.app.ask(path, { token: SECRET })).toMatchObject({ status: 200 })
    await download(media)
    expect(world.remote.asked(media)).toBe(2)
  })

  test('is asked for again at once when it may be there then', async () => {
    let working = false
    const bytes = randomBytes(1000)
    const media = world.remote.put(async (talk, request) => {
      await (working ? talk.send(mixed(bytes)) : sendsError(500, 'M_UNKNOWN')(talk, request))
    })
    expect(await download(media)).toMatchObject({ status: 502 })
    working = true
    const { status, body } = await download(media)
    expect([status, body.equals(bytes)]).toEqual([200, true])
  })

  test.each([
    ['says so', true],
    ['does not', false],
  ])('is refused when it is too large, and its server %s', async (_, announced) => {
    const before = (await world.app.files()).length
    const file = halved(randomBytes(LIMIT + 70_000), { announced, first: LIMIT })
    file.goOn()
    const media = world.remote.put(file.script)
    const { status, json } = await download(media)
    expect([status, json['errcode']]).toEqual([502, 'M_TOO_LARGE'])
    expect(await download(media)).toMatchObject({ status: 502 })
    expect(world.remote.asked(media)).toBe(1)
    await eventually(async () => (await world.app.files()).length === before)
  })

  test('is as large as it may be', async () => {
    expect(await download(world.remote.put(randomBytes(LIMIT)))).toMatchObject({ status: 200 })
  })

  test('has not been uploaded yet: the server is told how long the client waits, and its answer passed on', async () => {
    const media = says(504, 'M_NOT_YET_UPLOADED')
    for (let round = 1; round <= 2; round++) {
      const { status, json } = await download(media, '?timeout_ms=3000')
      expect([status, json['errcode']]).toEqual([504, 'M_NOT_YET_UPLOADED'])
      expect(world.remote.asked(media)).toBe(round)
    }
    expect(Number(world.remote.timeouts(media)[0])).toBeLessThanOrEqual(3000)
    await download(media, '?timeout_ms=90000')
    expect(Number(world.remote.timeouts(media)[2])).toBeLessThanOrEqual(60_000)
  })

  test.each(['GET', 'HEAD'])('has not been uploaded yet: so says each path (%s)', async (method) => {
    await world.app.reload({ repo: { freezeUnauthenticatedMedia: false }, federation: { disallowedNetworks: [] } })
    const paths = ['client/v1/media/download', 'media/v3/download', 'media/r0/download', 'media/v1/download']
    const size = 'width=32&height=32&'
    for (const path of [...paths, ...paths.map((one) => one.replace('download', 'thumbnail'))]) {
      const media = says(504, 'M_NOT_YET_UPLOADED')
      const query = `?${path.includes('thumbnail') ? size : ''}timeout_ms=2000`
      const answer = await world.app.ask(`/_matrix/${path}/${media}${query}`, { token, method })
      expect([path, answer.status]).toEqual([path, 504])
      if (method === 'GET') expect([path, answer.json['errcode']]).toEqual([path, 'M_NOT_YET_UPLOADED'])
      expect(Number(world.remote.timeouts(media)[0]), path).toBeLessThanOrEqual(2000)
    }
  })

  test('is waited for by who has more patience than who asked first', async () => {
    const bytes = randomBytes(1000)
    const impatient = Promise.withResolvers<void>()
    const media = world.remote.put(async (talk, { target }) => {
      const timeout = Number(new URL(target, 'https://any').searchParams.get('timeout_ms'))
      if (timeout > 5000) return await talk.send(mixed(bytes))
      await impatient.promise
      await talk.send(notYet)
    })
    const first = download(media, '?timeout_ms=2000')
    await eventually(() => world.remote.asked(media) === 1)
    const second = download(media, '?timeout_ms=30000')
    // Whether it has come to the server by then makes no difference to its answer.
    await pause(200)
    impatient.resolve()
    expect(await first).toMatchObject({ status: 504 })
    expect((await second).body.equals(bytes)).toBe(true)
  })

  test('may break off or make no sense, which is no failure of ours', async () => {
    const nonsense = world.remote.put(async (talk) => {
      await talk.send(head(200, ['Content-Type: image/png', 'Content-Length: 100']), 'too little')
      talk.end()
    })
    const gone = world.remote.put((talk) => talk.reset())
    for (const media of [nonsense, gone]) expect(await download(media)).toMatchObject({ status: 502 })
    expect(world.app.log()).not.toContain('"level":50')
  })

  test('is told in the log and counted by its reason', async () => {
    const media = `${world.remote.name}/not_there_either`
    await download(media)
    const [line] = world.app
      .log()
      .split('\n')
      .filter((text) => text.includes('could not be fetched') && text.includes('not_there_either'))
    expect(JSON.parse(line ?? '{}')).toMatchObject({ origin: world.remote.name, reason: 'not_found' })
  })
})

describeWith('openssl', 'A server that fetches one file at a time', () => {
  let world: Federated
  beforeEach(async () => void (world = await startFederated({ config: { downloads: { numWorkers: 1 } } })))
  afterEach(() => world[Symbol.asyncDispose]())
  const download = (media: string) => world.app.ask(downloadOf(media), { token })

  test('lets others wait, and tells those who are too many to come again', async () => {
    const first = halved(randomBytes(200_000), { first: 0 })
    const slow = world.remote.put(first.script)
    const others = Array.from({ length: 60 }, () => world.remote.put(randomBytes(100)))
    const begun = download(slow)
    await first.begun
    let answered = 0
    const asked = [begun, ...others.map((media) => download(media).finally(() => answered++))]
    await eventually(() => answered === 10)
    expect(others.filter((media) => world.remote.asked(media) > 0)).toEqual([])
    first.goOn()
    const answers = await Promise.all(asked)
    const refused = answers.filter(({ status }) => status === 429)
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(51)
    expect(refused).toHaveLength(10)
    expect(refused[0]?.headers['retry-after']).toBe('5')
    expect(refused[0]?.json).toMatchObject({ errcode: 'M_LIMIT_EXCEEDED', retry_after_ms: 5000 })
  })

  test('does not wait for servers that do not answer before it asks others', async () => {
    const answer = Promise.withResolvers<void>()
    const script: Script = async (talk) => {
      await answer.promise
      await talk.send(mixed('late'))
    }
    const certificate = await world.remote.authority.issue('127.0.0.1')
    await using silent = await startScriptedOrigin({ certificate, script })
    let isOver = false
    const waiting = download(`127.0.0.1:${silent.port}/a?timeout_ms=60000`).finally(() => void (isOver = true))
    await eventually(() => silent.requests.length === 1)
    expect(await download(world.remote.put(randomBytes(100)))).toMatchObject({ status: 200 })
    expect(isOver).toBe(false)
    answer.resolve()
    expect((await waiting).body.toString()).toBe('late')
  })

  test('ends in good order with a fetch under way', async () => {
    const file = halved(randomBytes(200_000), { first: 0 })
    const media = world.remote.put(file.script)
    const asked = download(media).catch((error: unknown) => error)
    const talk = await file.begun
    await world[Symbol.asyncDispose]()
    await talk.onceHungUp
    await asked
  })
})

const notYet = response(504, { errcode: 'M_NOT_YET_UPLOADED', error: 'not yet' })
const sendsError =
  (status: number, errcode: string): Script =>
  async (talk) =>
    await talk.send(response(status, { errcode, error: 'a test' }))

describeWith('openssl', 'Whoever has files of other servers fetched', () => {
  const buckets = { downloads: { capacityBytes: 100_000, drainBytesPerMinute: 1000, overflowLimitBytes: 50_000 } }
  let world: Federated
  beforeEach(async () => void (world = await startFederated({ config: { rateLimit: { enabled: true, buckets } } })))
  afterEach(() => world[Symbol.asyncDispose]())
  const ask = (who: { readonly token: string }, media: string) => world.app.ask(downloadOf(media), { token: who.token })

  test.each([
    ['says', true],
    ['does not say', false],
  ])('pays for them once, however long they are, whether or not the server %s it', async (_, announced) => {
    const put = (size: number) => {
      const file = halved(randomBytes(size), { announced, first: 0 })
      file.goOn()
      return world.remote.put(file.script)
    }
    const first = put(120_000)
    for (let round = 0; round < 3; round++) expect(await ask(ALICE, first)).toMatchObject({ status: 200 })
    const second = put(10_000)
    const { status, headers, json } = await ask(ALICE, second)
    expect([status, json['errcode']]).toEqual([429, 'M_LIMIT_EXCEEDED'])
    expect(Number(headers['retry-after'])).toBeGreaterThan(0)
    expect(world.remote.asked(second), 'the server is not asked any more').toBe(0)
    expect(await ask(ALICE, first), 'what is here costs nothing').toMatchObject({ status: 200 })
    expect(await ask(BOB, second), 'others are not concerned').toMatchObject({ status: 200 })
    expect(await ask(ALICE, second)).toMatchObject({ status: 200 })
  })

  test('is refused what would overfill its share, which others who wait for the same do not feel', async () => {
    await ask(ALICE, world.remote.put(randomBytes(90_000)))
    const file = halved(randomBytes(80_000), { first: 0 })
    file.goOn()
    const gate = Promise.withResolvers<void>()
    const media = world.remote.put(async (talk, request) => {
      await gate.promise
      await file.script(talk, request)
    })
    const [hers, his] = [
      ask(ALICE, media),
      eventually(() => world.remote.asked(media) === 1).then(() => ask(BOB, media)),
    ]
    await eventually(() => world.remote.asked(media) === 1)
    await pause(200)
    gate.resolve()
    expect(await hers).toMatchObject({ status: 429 })
    expect(await his).toMatchObject({ status: 200 })
  })
})
