import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from '../support/app.ts'
import { temporaryFolder } from '../support/folder.ts'
import { startHomeserver } from '../support/homeserver.ts'
import { type Server, startServer } from '../support/server.ts'
import { describeWith, freshDatabase } from '../support/services.ts'
import { LOOPBACK_ALLOWED, pageSaying, previewPath, startWebSite } from '../support/web-site.ts'

const ADMIN = { token: 'token-of-admin', userId: '@admin:example.org' }

describeWith('postgres', 'Two servers on one database that preview pages', () => {
  let pair: Awaited<ReturnType<typeof startPair>>
  beforeAll(async () => void (pair = await startPair()))
  afterAll(() => pair[Symbol.asyncDispose]())

  test('fetch each once, however many ask them', async () => {
    const { site, first, second } = pair
    await site.picture('/once.png', 300, 200)
    const goOn = Promise.withResolvers<void>()
    site.script('/once', async (response) => {
      await goOn.promise
      const page = pageSaying({ title: 'Once', image: site.urlOf('/once.png') })
      response.writeHead(200, { 'content-type': 'text/html' }).end(page)
    })
    const asked = Array.from({ length: 20 }, (_, index) => pair.ask(index % 2 === 0 ? first : second, '/once'))
    await eventually(() => site.asked('/once') > 0, 30_000)
    await pause(1000)
    goOn.resolve()
    const answers = new Set((await Promise.all(asked)).map(({ text }) => text))
    expect([...answers]).toEqual([expect.stringContaining('"og:title":"Once"')])
    expect([site.asked('/once'), site.asked('/once.png')]).toEqual([1, 1])
  })

  test('answer what the other one has made, and its failures', async () => {
    const { site, first, second } = pair
    site.page('/other', pageSaying({ title: 'Other' }))
    await pair.ask(first, '/other')
    expect((await pair.ask(second, '/other')).text).toBe('{"og:title":"Other"}')
    expect((await pair.ask(second, '/gone')).status).toBe(404)
    expect((await pair.ask(first, '/gone')).status).toBe(404)
    expect([site.asked('/other'), site.asked('/gone')]).toEqual([1, 1])
  })

  test('both forget what is purged at one of them, and take a quarantined picture out', async () => {
    const { site, first, second } = pair
    await site.picture('/hot.png', 300, 200, '#0000c0')
    site.page('/hot', pageSaying({ title: 'Hot', image: site.urlOf('/hot.png') }))
    for (const server of [first, second, first, second, first, second]) await pair.ask(server, '/hot')
    expect(site.asked('/hot')).toBe(1)
    const { json } = await pair.ask(first, '/hot')
    const media = String(json['og:image']).slice('mxc://'.length)
    await pair.administer(first, 'POST', `quarantine/${media}`)
    expect((await pair.ask(second, '/hot')).text).toBe('{"og:title":"Hot"}')
    await pair.administer(second, 'DELETE', `quarantine/${media}`)
    expect((await pair.ask(first, '/hot')).json['og:image']).toBe(`mxc://${media}`)
    site.page('/hot', pageSaying({ title: 'Cold' }))
    await pair.administer(first, 'DELETE', `previews?url=${encodeURIComponent(site.urlOf('/hot'))}`)
    expect((await pair.ask(second, '/hot')).text).toBe('{"og:title":"Cold"}')
    expect((await pair.ask(first, '/hot')).text).toBe('{"og:title":"Cold"}')
  })

  // The last one: it kills.
  test('go on without the one that is killed in the middle', async () => {
    const { site, first, second } = pair
    let isFirst = true
    site.script('/killed', (response) => {
      // To the first nothing is ever answered.
      if (!isFirst) response.writeHead(200, { 'content-type': 'text/html' }).end(pageSaying({ title: 'Alive' }))
      isFirst = false
    })
    const here = pair.ask(first, '/killed').catch(() => 'killed')
    await eventually(() => site.asked('/killed') > 0, 30_000)
    const there = pair.ask(second, '/killed')
    await pause(500)
    await first.stop('SIGKILL')
    expect((await there).text).toBe('{"og:title":"Alive"}')
    expect(await here).toBe('killed')
  })
})

async function startPair() {
  await using cleanup = new AsyncDisposableStack()
  const site = cleanup.use(await startWebSite())
  const homeserver = cleanup.use(await startHomeserver())
  homeserver.addUser(ADMIN)
  const folder = cleanup.use(await temporaryFolder()).path
  const database = cleanup.use(await freshDatabase())
  const start = (name: string) =>
    startServer({
      folder: join(folder, name),
      config: {
        homeservers: [{ name: homeserver.serverName, csApi: homeserver.url }],
        database: { postgres: database.url },
        datastores: [{ id: 'main', type: 'file', forKinds: ['all'], opts: { path: join(folder, 'media') } }],
        admins: [ADMIN.userId],
        urlPreviews: LOOPBACK_ALLOWED,
        timeouts: { urlPreviewTimeoutSeconds: 60 },
      },
    })
  const [first, second] = [cleanup.use(await start('first')), cleanup.use(await start('second'))]
  const headers = { authorization: `Bearer ${ADMIN.token}`, 'x-forwarded-host': homeserver.serverName }
  const send = async (server: Server, path: string, method = 'GET') => {
    const answer = await fetch(`${server.url}${path}`, { method, headers })
    const text = await answer.text()
    return { status: answer.status, text, json: JSON.parse(text) as Record<string, unknown> }
  }
  const owned = cleanup.move()
  return {
    site,
    first,
    second,
    ask: (server: Server, path: string) => send(server, previewPath(site.urlOf(path))),
    administer: async (server: Server, method: string, path: string) => {
      const answer = await send(server, `/_matrix/media/unstable/admin/${path}`, method)
      expect(answer.status).toBe(200)
      return answer
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
