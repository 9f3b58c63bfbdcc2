import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeWith } from '../support/services.ts'
import { startSynapse, type Synapse } from '../support/synapse.ts'
import { type PreviewingApp, startPreviewing } from '../support/web/app.ts'
import { type Asked, previewOf } from '../support/web/ask.ts'
import { DIFFERENCES } from '../support/web/differences.ts'
import type { Page } from '../support/web/page.ts'
import { pages } from '../support/web/pages.ts'
import { type LocalWeb, startWeb } from '../support/web/server.ts'

/** Those that stand for a whole preview, and are not a part of others. */
const asked = pages.filter(({ preview, hasNone }) => preview !== undefined || hasNone)

describeWith(['synapse', 'ffmpeg'], 'Previews are those of a real Synapse, or better', () => {
  let web: LocalWeb
  let ours: PreviewingApp
  let synapse: Synapse
  let theirs: Asked

  beforeAll(async () => {
    web = await startWeb(pages)
    const hosts = Object.fromEntries(web.hosts.map((host) => [host, web.address]))
    const starting = startSynapse({ serverName: 'example.org', previews: { hosts } })
    ours = await startPreviewing(web)
    synapse = await starting
    const { accessToken } = await synapse.register('alice', 'a password for tests')
    theirs = { port: synapse.port, token: accessToken }
  })
  afterAll(async () => {
    for (const part of [synapse, ours, web]) await part[Symbol.asyncDispose]()
  })

  test.concurrent.each(asked)('$at', async (page) => {
    const listed = DIFFERENCES[page.at] ?? {}
    const found = await differences(page)
    expect(Object.keys(found).toSorted(), `[ours, theirs]: ${JSON.stringify(found, null, 2)}`).toEqual(
      Object.keys(listed).toSorted(),
    )
    for (const reason of Object.values(listed)) expect(reason.length).toBeGreaterThan(10)
  })

  test('and no difference is listed of a page that is not there', () => {
    const known = new Set(asked.map(({ at }) => at))
    expect(Object.keys(DIFFERENCES).filter((at) => !known.has(at))).toEqual([])
  })

  /** Where both have a preview, the keys that differ, with both values; else `status`, if only one has. */
  async function differences(page: Page): Promise<Record<string, unknown>> {
    const [own, other] = await Promise.all([previewOf(ours.asked, web, page), previewOf(theirs, web, page)])
    if (own.status !== 200 || other.status !== 200) {
      const both = own.status !== 200 && other.status !== 200
      return both ? {} : { status: [own, other] }
    }
    const keys = new Set([...Object.keys(own.preview), ...Object.keys(other.preview)])
    const values = [...keys].map((key) => [key, [own.preview[key], other.preview[key]]] as const)
    return Object.fromEntries(values.filter(([, [one, another]]) => !Object.is(one, another)))
  }
})
