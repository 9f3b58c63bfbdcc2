import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeWith } from '../support/services.ts'
import { type PreviewingApp, startPreviewing } from '../support/web/app.ts'
import { previewOf } from '../support/web/ask.ts'
import { pages } from '../support/web/pages.ts'
import { type LocalWeb, startWeb } from '../support/web/server.ts'

describeWith('ffmpeg', 'Each page of the local web is previewed as people would choose', () => {
  let web: LocalWeb
  let previewing: PreviewingApp

  beforeAll(async () => {
    web = await startWeb(pages)
    previewing = await startPreviewing(web)
  })
  afterAll(async () => {
    await previewing[Symbol.asyncDispose]()
    await web[Symbol.asyncDispose]()
  })

  const previewed = pages.filter(({ preview }) => preview !== undefined)
  test.concurrent.each(previewed)('$like: $at', async (page) => {
    const { status, preview, sizes } = await previewOf(previewing.asked, web, page)
    expect({ status, preview }).toEqual({ status: 200, preview: page.preview })
    if (sizes) expect(sizes.said, 'matrix:image:size').toBe(sizes.sent)
  })

  const refused = pages.filter(({ hasNone }) => hasNone)
  test.concurrent.each(refused)('There is none of $like: $at', async (page) => {
    expect(await previewOf(previewing.asked, web, page)).toMatchObject({
      status: 404,
      preview: { errcode: 'M_NOT_FOUND' },
    })
  })

  describe('and the web is asked politely', () => {
    test('in the language of the client, as a robot that sites know, without a fragment', async () => {
      const seen = web.requests.find(({ at }) => at.startsWith('map.test/'))
      expect(seen).toMatchObject({
        at: 'map.test/?mlat=53.5&mlon=9.9',
        headers: { 'accept-language': expect.stringContaining('en-US'), 'user-agent': expect.stringMatching(/bot/i) },
      })
    })

    test('for nothing of a page but its picture: no scripts, styles, frames, sounds, or pieces of films', () => {
      const others = [
        '/x.js',
        '/main.js',
        '/_static/basic.css',
        'ads.test/',
        'podcast.test/12.mp3',
        '/piece.ts',
        '/embed/',
      ]
      expect(web.requests.filter(({ at }) => others.some((part) => at.includes(part)))).toEqual([])
      expect(web.requests.length).toBeLessThan(3 * pages.length)
    })
  })
})
