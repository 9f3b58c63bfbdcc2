/** Quarantine while the same content is asked for, sent, fetched and made smaller, at two instances. */
import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from '../support/app.ts'
import { noise } from '../support/images.ts'
import { halved } from '../support/remote.ts'
import { describeWith } from '../support/services.ts'
import { uriOf } from '../support/states/again.ts'
import { ADMIN, type Instance, type Pair, READER, SENDER, startPair } from '../support/states/pair.ts'

const MIB = 1024 * 1024

const upload = ({ ask }: Instance, body: Buffer, token = READER.token) =>
  ask({ path: '/_matrix/media/v3/upload', method: 'POST', token, body })
const get = ({ ask }: Instance, media: string) =>
  ask({ path: `/_matrix/client/v1/media/download/${media}`, token: READER.token })
const quarantine = async ({ ask }: Instance, media: string) => {
  const path = `/_matrix/media/unstable/admin/quarantine/${media}`
  expect((await ask({ path, method: 'POST', token: ADMIN.token })).status).toBe(200)
}

describeWith(['postgres', 'openssl'], 'Quarantine at one of two instances', () => {
  let pair: Pair
  beforeAll(async () => void (pair = await startPair()), 60_000)
  afterAll(() => pair[Symbol.asyncDispose]())

  test('ends all that fifty clients do with the content at both, and no upload of it is served afterwards', async () => {
    const [a, b] = pair.instances
    const bytes = randomBytes(20_000)
    const media = uriOf(await upload(a, bytes))
    const names = new Set([media])
    let isQuarantined = false
    const late: string[] = []
    let [served, refused] = [0, 0]
    const client = async (instance: Instance, isSender: boolean) => {
      for (let rest = 5; rest > 0;) {
        const isLate = isQuarantined
        const { status, ...told } = await (isSender ? upload(instance, bytes, SENDER.token) : get(instance, media))
        if (status === 200 && isSender) names.add(uriOf({ status, ...told }))
        if (status === 200) served++
        else refused++
        if (isLate && status === 200) late.push(`${instance.name}: ${isSender ? 'upload' : 'download'}`)
        // Some more rounds after it, however long it takes.
        if (isLate) rest--
      }
    }
    const clients = Array.from({ length: 50 }, (_, index) => client(index % 2 === 0 ? a : b, index % 4 > 1))
    await eventually(() => served > 200, 30_000)
    await quarantine(a, media)
    isQuarantined = true
    await Promise.all(clients)
    expect(late).toEqual([])
    expect(refused).toBeGreaterThanOrEqual(250)
    for (const name of names)
      for (const instance of pair.instances) expect((await get(instance, name)).status).toBe(404)
  }, 60_000)

  test('keeps back a thumbnail of it that the other one was making', async () => {
    const [a, b] = pair.instances
    const media = uriOf(await upload(a, await noise({ width: 1600, height: 1200 }).png().toBuffer()))
    let isQuarantined = false
    const path = `/_matrix/client/v1/media/thumbnail/${media}?width=320&height=240&method=scale`
    const thumbnail = b.ask({ path, token: READER.token }).then(({ status }) => ({ status, isLate: isQuarantined }))
    // It has been let through, and is decoded.
    await pause(30)
    await quarantine(a, media)
    isQuarantined = true
    const { status, isLate } = await thumbnail
    // On a slow machine it may have been sent before.
    expect(status).toBe(isLate ? 404 : 200)
  }, 60_000)

  test('keeps back a file whose record was read before, and that is allowed by a slow homeserver after', async () => {
    const [a, b] = pair.instances
    await pair.reload({ repo: { freezeUnauthenticatedMedia: true } })
    const media = uriOf(await upload(a, randomBytes(1000)))
    const user = { token: 'syt_slow', userId: '@slow:example.org' }
    pair.addUser(user)
    const goOn = b.app.homeserver.holdAnswers('whoami')
    const path = `/_matrix/media/v3/download/${media}`
    const asked = ['GET', 'HEAD'].map((method) => b.ask({ path, method, token: user.token }))
    await eventually(() => b.app.homeserver.requests.some(({ headers }) => headers.authorization?.includes('syt_slow')))
    await quarantine(a, media)
    goOn()
    expect((await Promise.all(asked)).map(({ status }) => status)).toEqual([404, 404])
    await pair.reload()
  }, 60_000)

  test.for([true, false])(
    'keeps back the end of a file of another server that has begun to come (its length announced: %s)',
    async (announced) => {
      const [a, b] = pair.instances
      const bytes = randomBytes(MIB)
      const copy = uriOf(await upload(a, bytes))
      const file = halved(bytes, { announced })
      const media = pair.remote.put(file.script)
      const coming = get(b, media).then(
        ({ status, body }) => ({ status, length: body.length }),
        () => 'broken off',
      )
      await file.begun
      await quarantine(a, copy)
      file.goOn()
      expect(['broken off', expect.objectContaining({ status: 404 })]).toContainEqual(await coming)
      for (const instance of pair.instances) expect((await get(instance, media)).status).toBe(404)
    },
  )
})
