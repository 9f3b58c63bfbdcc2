import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ALICE, eventually, send } from '../support/app.ts'
import { type HomeserverDouble, startHomeserver } from '../support/homeserver.ts'
import { startServer, type Server } from '../support/server.ts'
import { startTroubles, TROUBLES, type TroubledWeb } from '../support/web/troubles.ts'

const MIB = 1024 * 1024
/** What is cut by the time has come as far as its title; what is large is cut by its size, on a busy machine too. */
const TIMEOUT_SECONDS = 8
/** Garbage that nobody has collected yet is up to 100 MiB on a busy machine, and would hide what is held. */
const LITTLE_GARBAGE = { NODE_OPTIONS: '--max-semi-space-size=4', MALLOC_ARENA_MAX: '1' }

describe('A site that is slow, endless, broken or hostile', () => {
  let homeserver: HomeserverDouble
  let server: Server
  let web: TroubledWeb

  beforeAll(async () => {
    homeserver = await startHomeserver()
    homeserver.addUser(ALICE)
    web = await startTroubles()
    server = await startServer({
      env: LITTLE_GARBAGE,
      config: {
        homeservers: [{ name: 'example.org', csApi: homeserver.url }],
        rateLimit: { enabled: false },
        urlPreviews: { allowedNetworks: ['127.0.0.2/32'], disallowedNetworks: [], oEmbed: true },
        timeouts: { urlPreviewTimeoutSeconds: TIMEOUT_SECONDS },
      },
    })
    // So that what is loaded and compiled once does not count.
    await Promise.all(Array.from({ length: 4 }, (_, index) => preview(`has 10 MiB of paragraphs/${index}`)))
  })
  afterAll(async () => {
    for (const part of [server, web, homeserver]) await part[Symbol.asyncDispose]()
  })

  async function preview(trouble: string) {
    const path = `/_matrix/client/v1/media/preview_url?url=${encodeURIComponent(web.urlOf(trouble))}`
    const { status, json } = await send(server.port, path, { token: ALICE.token })
    return { status, json }
  }

  test.concurrent.each(Object.entries(TROUBLES))('that %s is bounded', async (name, { gives }) => {
    const { status, json } = await preview(name)
    if (gives === 'nothing') {
      expect({ status, json }).toMatchObject({ status: 404, json: { errcode: 'M_NOT_FOUND' } })
    } else {
      expect({ status, json }).toMatchObject({ status: 200, json: { 'og:title': 'So far so good' } })
      expect(json).not.toHaveProperty('og:image')
      const { 'og:description': description = '' } = json
      expect(String(description).length).toBeLessThanOrEqual(200)
    }
  })

  test('that redirects for ever is followed ten times', () => {
    const followed = web.requests.filter((path) => path.startsWith('redirects for ever'))
    expect(followed).toHaveLength(11)
  })

  test('is let go of: no connection stays open but those that can be used again', async () => {
    await eventually(() => web.open() <= 4, 60_000)
  })

  test('costs no memory that grows with it', async () => {
    const before = await residentBytes()
    let most = before
    const watch = setInterval(() => void residentBytes().then((bytes) => (most = Math.max(most, bytes))), 20)
    const large = Object.keys(TROUBLES).filter((name) =>
      / (large|endless|bomb|MiB|deep|million|100,000|gigapixel)/.test(name),
    )
    const again = [...large, ...large].slice(0, 20)
    expect(again).toHaveLength(20)
    for (const [index, name] of again.entries()) await preview(`${name}/${index}`)
    clearInterval(watch)
    expect((most - before) / MIB).toBeLessThan(64)
  })

  test('and everybody else is still answered', async () => {
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200)
    expect(server.lines.filter((line) => /uncaught|unhandled|heap/i.test(line))).toEqual([])
  })

  /** Of the server's process, not of its workers. */
  async function residentBytes(): Promise<number> {
    const status = await readFile(`/proc/${server.pid}/status`, 'utf8')
    return Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1]) * 1024
  }
})
