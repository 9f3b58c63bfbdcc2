import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { temporaryFolder, type Folder } from '../support/folder.ts'
import { type PreviewingApp, startPreviewing } from '../support/web/app.ts'
import {
  ALL_BUT_127_0_0_2,
  ALLOWED,
  type ForbiddenSide,
  INSIDE_NAMES,
  listenEverywhere,
  LITERALS,
  WAYS_IN,
  type WayIn,
} from '../support/web/forbidden.ts'
import type { Page } from '../support/web/page.ts'
import { type LocalWeb, startWeb } from '../support/web/server.ts'

const OUTSIDE = '127.0.0.2'
const hosts = [...LITERALS, ...Object.keys(INSIDE_NAMES)]
/** Of each way, what is at its end on the allowed side, and then all that is forbidden. */
const nameOf = (way: WayIn, index: number) => `w${WAYS_IN.indexOf(way)}-${index}.test`
const endpointOf = (index: number) => `provided-${index}.test`

/** oEmbed services that a list names, one for each host. */
function providers(forbiddenPort: number, webPort: number) {
  const own = [`${OUTSIDE}:${webPort}`, ...hosts.map((host) => `${host}:${forbiddenPort}`)]
  return own.flatMap((host, index) => {
    const url = URL.canParse(`http://${host}/`) ? `http://${host}/oembed.json` : `http://${OUTSIDE}:1/`
    const schemes = [`http://${endpointOf(index)}:${webPort}/*`]
    return [{ provider_name: 'x', endpoints: [{ url, schemes }] }]
  })
}

describe('What is in a forbidden network gets no connection of a preview', () => {
  let folder: Folder
  let inside: ForbiddenSide
  let web: LocalWeb
  let previewing: PreviewingApp

  beforeAll(async () => {
    folder = await temporaryFolder()
    inside = await listenEverywhere()
    // The allowed side of each way is at the web's own port, which is known only when it is there.
    web = await startWeb((port) => [...ALLOWED, ...waysTo(inside.port, port), ...servedByOthers()], OUTSIDE)
    const list = await folder.write('providers.json', JSON.stringify(providers(inside.port, web.port)))
    previewing = await startPreviewing(web, {
      allowedNetworks: ['0.0.0.0/0', '::/0'],
      disallowedNetworks: ALL_BUT_127_0_0_2,
      oEmbedProviders: list,
      numWorkers: 32,
      // Certificates are another matter than networks.
      previewUnsafeCertificates: true,
    })
    for (const [name, records] of Object.entries(INSIDE_NAMES)) previewing.dns.set(name, records)
  })
  afterAll(async () => {
    for (const part of [previewing, web, inside, folder]) await part[Symbol.asyncDispose]()
  })

  /** The whole preview as text, and nothing dialled but the allowed side. */
  async function preview(url: string) {
    const path = `/_matrix/client/v1/media/preview_url?url=${encodeURIComponent(url)}`
    const { status, body } = await previewing.app.ask(path, { token: previewing.asked.token })
    expect(inside.connections(), url).toBe(0)
    expect(previewing.dialled.filter((address) => address !== OUTSIDE)).toEqual([])
    return { status, text: body.toString() }
  }

  test('although it would take one (the listener counts), on IPv4 and IPv6', async () => {
    await using other = await listenEverywhere()
    for (const host of ['127.0.0.1', '127.0.0.3', '::1', OUTSIDE]) {
      const socket = connect({ host, port: other.port })
      await once(socket.resume(), 'close')
    }
    expect(other.connections()).toBe(4)
  })

  test.each(hosts)('at http://%s', async (host) => {
    for (const scheme of ['http', 'https']) {
      const { status, text } = await preview(`${scheme}://${host}:${inside.port}/`)
      // What is no address at all is the caller's mistake.
      expect({ status, text }).toEqual({
        status: URL.canParse(`http://${host}/`) ? 404 : 400,
        text: expect.not.stringContaining('Secret'),
      })
    }
  })

  describe.each(WAYS_IN)('by $name', (way) => {
    test('while what is allowed is reached', async () => {
      expect(await preview(web.urlOf(`${nameOf(way, 0)}/`))).toEqual({
        status: 200,
        text: expect.stringMatching(way.gains),
      })
    })

    test('whatever the host looks like', async () => {
      const answers = await Promise.all(hosts.map((_, index) => preview(web.urlOf(`${nameOf(way, index + 1)}/`))))
      answers.forEach(({ status, text }, index) => {
        const expected = way.keepsPage ? 200 : 404
        expect({ host: hosts[index], status }).toEqual({ host: hosts[index], status: expected })
        expect(text).not.toMatch(way.gains)
        if (way.keepsPage) expect(text).toContain('Outside')
      })
    })
  })

  test('by an oEmbed service that a list names, while one that is allowed is asked', async () => {
    expect((await preview(web.urlOf(`${endpointOf(0)}/page`))).text).toContain('By oEmbed')
    const answers = await Promise.all(hosts.map((_, index) => preview(web.urlOf(`${endpointOf(index + 1)}/page`))))
    for (const { text } of answers) expect(text).not.toContain('By oEmbed')
  })

  test('by a name that is outside when it is first looked up, and inside the next time', async () => {
    let asked = 0
    previewing.dns.set('rebinding.test', (type) => (type === 'A' ? { A: [asked++ === 0 ? OUTSIDE : '127.0.0.1'] } : {}))
    const first = await preview(web.urlOf('rebinding.test/'))
    expect(first).toEqual({ status: 200, text: expect.stringContaining('Outside') })
    // Its picture is at the same name, for which a new connection is needed.
    expect(first.text).not.toContain('og:image')
    expect(asked).toBe(2)
    expect((await preview(web.urlOf('rebinding.test/again'))).status).toBe(404)
  })

  test('by a name with addresses on both sides, of which only the outer one is used', async () => {
    previewing.dns.set('both-sides.test', { A: ['127.0.0.1', OUTSIDE, '10.0.0.1'], AAAA: ['::1'] })
    const both = await preview(web.urlOf('both-sides.test/'))
    expect(both).toEqual({ status: 200, text: expect.stringContaining('Outside') })
  })

  test('by addresses that are none of the web', async () => {
    const { port } = inside
    for (const url of [
      `file:///etc/passwd`,
      `ftp://127.0.0.1:${port}/`,
      `gopher://127.0.0.1:${port}/_GET`,
      `data:text/html,<title>Secret</title>`,
      `javascript:alert(1)`,
      `//127.0.0.1:${port}/`,
      `127.0.0.1:${port}`,
      `http:`,
      ``,
    ]) {
      expect(await preview(url), url).toMatchObject({ status: 400 })
    }
  })
})

/** The pages of all ways, to all hosts. */
function waysTo(forbiddenPort: number, webPort: number): readonly Page[] {
  const targets = [`http://${OUTSIDE}:${webPort}`, ...hosts.map((host) => `http://${host}:${forbiddenPort}`)]
  return WAYS_IN.flatMap((way) => targets.flatMap((target, index) => way.pages(target, nameOf(way, index))))
}

/** Pages whose oEmbed service a list names, and what names that move have. */
function servedByOthers(): readonly Page[] {
  const provided = ['', ...hosts].map((_, index) => ({
    at: `${endpointOf(index)}/page`,
    like: 'a page with a provider',
    body: '<title>Outside</title>',
  }))
  const body = '<title>Outside</title><meta property="og:image" content="/near-320x240.png">'
  const moving = ['rebinding.test/', 'both-sides.test/'].map((at) => ({
    at,
    like: 'a page whose name moves',
    headers: { connection: 'close' },
    body,
  }))
  return [...provided, ...moving]
}
