import { randomBytes } from 'node:crypto'
import { type Dispatcher, fetch } from 'undici'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ModerationBot } from '../support/moderation-bot.ts'
import { type Nginx, startNginx } from '../support/nginx.ts'
import { startServer } from '../support/server.ts'
import { describeWith } from '../support/services.ts'
import { configureSynadm, type Synadm } from '../support/synadm.ts'
import { type Registered, startSynapse, type Synapse } from '../support/synapse.ts'
import { temporaryFolder } from '../support/folder.ts'

const NAME = 'example.org'
const ALICE = `@alice:${NAME}`
type Json = Readonly<Record<string, unknown>>

const idOf = (mxc: string) => mxc.slice(`mxc://${NAME}/`.length)

describeWith(['synapse', 'nginx', 'openssl', 'synadm'], 'Behind nginx as the manual configures it', () => {
  const cleanup = new AsyncDisposableStack()
  let nginx: Nginx
  let synapse: Synapse
  let admin: Registered
  let alice: Registered
  let synadm: Synadm

  beforeAll(async () => {
    const folder = cleanup.use(await temporaryFolder()).path
    synapse = cleanup.use(await startSynapse({ serverName: NAME }))
    const config = {
      homeservers: [{ name: NAME, csApi: synapse.url, adminApiKind: 'synapse' }],
      admins: [`@admin:${NAME}`],
      uploads: { minBytes: 0 },
    }
    const server = cleanup.use(await startServer({ config }))
    const behind = { cellariumPort: server.port, homeserverPort: synapse.port, serverName: NAME }
    nginx = cleanup.use(await startNginx({ ...behind, adminApi: true }))
    admin = await synapse.register('admin', 'a password', { admin: true })
    alice = await synapse.register('alice', 'a password')
    const user = { user: 'admin', token: admin.accessToken }
    synadm = await configureSynadm({ folder, url: nginx.url, serverName: NAME, ...user })
  }, 120_000)
  afterAll(() => cleanup.disposeAsync())

  async function ask(method: string, path: string, { accessToken }: Registered, body?: Json | Buffer<ArrayBuffer>) {
    const type = Buffer.isBuffer(body) ? 'application/octet-stream' : 'application/json'
    const sent = body === undefined ? {} : { body: Buffer.isBuffer(body) ? body : JSON.stringify(body) }
    const headers = { authorization: `Bearer ${accessToken}`, 'content-type': type }
    const dispatcher: Dispatcher = nginx.agent
    return await fetch(`${nginx.url}${path}`, { method, headers, dispatcher, ...sent })
  }
  const asked = async (...request: Parameters<typeof ask>) => (await (await ask(...request)).json()) as Json
  const upload = async (size = 500) => {
    const { content_uri: mxc } = await asked('POST', '/_matrix/media/v3/upload', alice, randomBytes(size))
    return String(mxc)
  }
  const statusOf = async (mxc: string) =>
    (await ask('GET', `/_matrix/client/v1/media/download/${NAME}/${idOf(mxc)}`, alice)).status
  /** A room with a message for each of these, and the administrator in it. */
  async function roomWith(...mxcs: readonly string[]): Promise<string> {
    const { room_id: id } = await asked('POST', '/_matrix/client/v3/createRoom', alice, { preset: 'public_chat' })
    const room = encodeURIComponent(String(id))
    for (const url of mxcs) {
      const content = { msgtype: 'm.image', body: 'a picture', url }
      await asked('PUT', `/_matrix/client/v3/rooms/${room}/send/m.room.message/${idOf(url)}`, alice, content)
    }
    await asked('POST', `/_matrix/client/v3/join/${room}`, admin, {})
    return String(id)
  }

  test('the client synadm lists, quarantines, protects and deletes media', { timeout: 120_000 }, async () => {
    const [first, second, third] = [await upload(2000), await upload(3000), await upload(1500)]
    const room = await roomWith(first, second)
    const listed = async () => {
      const { media } = (await synadm('user', 'media', '--timestamp', '--sort', 'created_ts', ALICE)) as {
        media: Json[]
      }
      return media.map((row) => [row['media_id'], row['quarantined_by'], row['safe_from_quarantine']])
    }
    expect(await listed()).toEqual([first, second, third].map((mxc) => [idOf(mxc), null, false]))
    expect(await synadm('media', 'list', '--room-id', room)).toEqual({
      local: expect.toSatisfy((uris: string[]) => uris.toSorted().join() === [first, second].toSorted().join()),
      remote: [],
    })

    expect(await synadm('media', 'quarantine', '--mxc-uri', third)).toEqual({})
    expect(await statusOf(third)).toBe(404)
    expect((await listed())[2]).toEqual([idOf(third), `@admin:${NAME}`, false])
    expect(await synadm('media', 'unquarantine', '--media-id', idOf(third), '--server-name', NAME)).toEqual({})
    expect(await statusOf(third)).toBe(200)

    expect(await synadm('media', 'protect', idOf(second))).toEqual({})
    expect(await synadm('media', 'quarantine', '--room-id', room)).toEqual({ num_quarantined: 1 })
    expect(await synadm('media', 'quarantine', '--user-id', ALICE)).toEqual({ num_quarantined: 1 })
    expect(await Promise.all([first, second, third].map(statusOf))).toEqual([404, 200, 404])

    expect(await synadm('media', 'delete', '--media-id', idOf(second))).toEqual({
      deleted_media: [idOf(second)],
      total: 1,
    })
    const [old, small] = [await upload(5000), await upload(1000)]
    const later = String(Date.now() + 3_600_000)
    expect(await synadm('media', 'delete', '--before-ts', later, '--kib', '4')).toEqual({
      deleted_media: [idOf(old)],
      total: 1,
    })
    expect(await statusOf(small)).toBe(200)
    expect(await synadm('media', 'purge', '--before-ts', later)).toEqual({ deleted: 0 })
  })

  test('a moderation bot quarantines media here, and the homeserver does the rest', { timeout: 60_000 }, async () => {
    const [sent, unsent] = [await upload(), await upload()]
    const room = await roomWith(sent)
    const bot = new ModerationBot({
      url: nginx.url,
      dispatcher: nginx.agent,
      userId: admin.userId,
      token: admin.accessToken,
    })
    expect(await bot.isSynapseAdmin()).toEqual({ admin: true })
    expect(await bot.userDetails(ALICE)).toMatchObject({ name: ALICE, deactivated: false })
    expect(await bot.roomDetails(room)).toMatchObject({ room_id: room })
    expect(await bot.abuseReports()).toMatchObject({ total: 0 })

    expect(await bot.quarantineMediaOf(ALICE, room)).toEqual([sent])
    expect(await Promise.all([sent, unsent].map(statusOf))).toEqual([404, 200])

    expect(await bot.redact(ALICE)).toHaveProperty('redact_id')
    expect(await bot.suspend(ALICE)).toMatchObject({ [`user_${ALICE}_suspended`]: true })
    expect(await bot.shutDown(room)).toHaveProperty('delete_id')
  })
})
