import { createHash, randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ALICE, eventually } from '../support/app.ts'
import { temporaryFolder } from '../support/folder.ts'
import { downloadOf, type Federated, startFederated, thumbnailOf } from '../support/remote.ts'
import { describeWith } from '../support/services.ts'

const LARGE = 3 * 1024 * 1024
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

/** A service whose answers a test gives. */
async function startJudge() {
  const waiting: ServerResponse[] = []
  const asked: Record<string, unknown>[] = []
  const server = createServer((request, response) => {
    void (async () => {
      asked.push(JSON.parse(String(await buffer(request))) as Record<string, unknown>)
      waiting.push(response)
    })()
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    answer: async (verdict: string) => {
      await eventually(() => waiting.length > 0)
      waiting.shift()?.end(JSON.stringify({ verdict, reason: 'for a reason' }))
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => void server.close(resolve))
    },
  }
}

let judge: Awaited<ReturnType<typeof startJudge>>
beforeAll(async () => void (judge = await startJudge()))
afterAll(() => judge[Symbol.asyncDispose]())

const withHook = (remoteMedia: string) =>
  startFederated({ config: { moderation: { remoteMedia, hooks: [{ url: judge.url, timeoutSeconds: 30 }] } } })
const ask = ({ app }: Federated, path: string) => app.ask(path, { token: ALICE.token })

describeWith('openssl', 'Files of other servers', () => {
  test('are not sent before every gate has let them through', async () => {
    await using place = await withHook('before')
    const file = randomBytes(LARGE)
    const media = place.remote.put(file)
    using connection = await place.app.connect()
    const before = judge.asked.length
    connection.write(
      `GET ${downloadOf(media)} HTTP/1.1\r\nHost: example.org\r\nAuthorization: Bearer ${ALICE.token}\r\nConnection: close\r\n\r\n`,
    )
    await eventually(() => judge.asked.length > before)
    expect(judge.asked.at(-1)).toMatchObject({
      kind: 'remote',
      mxc: `mxc://${media}`,
      user_id: null,
      sha256: sha256(file),
    })
    await pause(200)
    expect(connection.received()).toBe('')
    await judge.answer('allow')
    await connection.closed
    expect(connection.received()).toContain('HTTP/1.1 200')
    expect(connection.received()).toContain(file.toString('latin1'))
    // What is here is not judged again.
    expect((await ask(place, downloadOf(media))).status).toBe(200)
  })

  test('that are refused are not found, not kept, and not fetched again for a while', async () => {
    await using place = await withHook('before')
    const media = place.remote.put(randomBytes(LARGE))
    const answered = ask(place, downloadOf(media))
    await judge.answer('reject')
    expect(await answered).toMatchObject({ status: 404, json: { errcode: 'M_NOT_FOUND' } })
    expect((await ask(place, thumbnailOf(media))).status).not.toBe(500)
    expect(place.remote.asked(media)).toBe(1)
    expect(await place.app.files()).toEqual([])
    expect(place.app.sql('SELECT 1 FROM media')).toEqual([])
  })

  test('that are to be quarantined are kept for administrators only, like everything with the same content', async () => {
    await using place = await withHook('before')
    const file = randomBytes(2000)
    const media = place.remote.put(file)
    const uploading = place.app.upload(file)
    await judge.answer('allow')
    const uploaded = await uploading
    const answered = ask(place, downloadOf(media))
    await judge.answer('quarantine')
    expect((await answered).status).toBe(404)
    expect(place.app.sql('SELECT 1 FROM media WHERE quarantined_at IS NOT NULL')).toHaveLength(2)
    expect((await ask(place, downloadOf(uploaded))).status).toBe(404)
    expect((await ask(place, downloadOf(media))).status).toBe(404)
    expect(place.app.sql('SELECT source, media_id AS id FROM reports')).toEqual([
      { source: 'hook1', id: media.split('/')[1] },
    ])
  })

  test('are sent as they come where gates judge meanwhile, but for the end, which a refusal cuts off', async () => {
    await using place = await withHook('meanwhile')
    const [good, bad] = [place.remote.put(randomBytes(LARGE)), place.remote.put(randomBytes(LARGE))]
    for (const [media, verdict] of [
      [good, 'allow'],
      [bad, 'reject'],
    ] as const) {
      using connection = await place.app.connect()
      connection.write(
        `GET ${downloadOf(media)} HTTP/1.1\r\nHost: example.org\r\nAuthorization: Bearer ${ALICE.token}\r\nConnection: close\r\n\r\n`,
      )
      // Nearly all of it is there before the verdict.
      await eventually(() => connection.received().length > LARGE - 70_000)
      expect(connection.received().length).toBeLessThan(LARGE)
      await judge.answer(verdict)
      await connection.closed
      if (verdict === 'allow') expect(connection.received().length).toBeGreaterThan(LARGE)
      else expect(connection.received().length).toBeLessThan(LARGE)
    }
    expect((await ask(place, downloadOf(bad))).status).toBe(404)
    expect(place.app.sql('SELECT 1 FROM media')).toHaveLength(1)
  })

  test('pass no gates where they are off, and uploads still do', async () => {
    await using place = await withHook('off')
    const before = judge.asked.length
    expect((await ask(place, downloadOf(place.remote.put(randomBytes(1000))))).status).toBe(200)
    expect(judge.asked).toHaveLength(before)
    const uploading = place.app.upload('own')
    await judge.answer('allow')
    await uploading
    expect(judge.asked).toHaveLength(before + 1)
  })

  test('that no gate can judge are refused for the moment, and had when one can again', async () => {
    await using folder = await temporaryFolder()
    const hook = { url: 'http://127.0.0.1:9/', timeoutSeconds: 1 }
    await using place = await startFederated({ config: { moderation: { hooks: [hook] } }, folder: join(folder.path) })
    const media = place.remote.put(randomBytes(1000))
    expect(await ask(place, downloadOf(media))).toMatchObject({ status: 503 })
    expect(await place.app.files()).toEqual([])
    const federation = { disallowedNetworks: [] }
    await place.app.reload({ federation, moderation: {} })
    await eventually(async () => (await ask(place, downloadOf(media))).status === 200)
  })

  test('on a list of hashes are refused without a byte of them, however long they are', async () => {
    await using folder = await temporaryFolder()
    const file = randomBytes(LARGE)
    const source = join(folder.path, 'list')
    await writeFile(source, sha256(file))
    await using place = await startFederated({ config: { moderation: { hashLists: [{ source }] } } })
    const { status, body } = await ask(place, downloadOf(place.remote.put(file)))
    expect(status).toBe(404)
    expect(body.length).toBeLessThan(500)
  })
})
