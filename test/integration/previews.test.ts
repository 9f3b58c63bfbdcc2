import { expect, test } from 'vitest'
import { ALICE, startApp } from '../support/app.ts'
import { startWebSite } from '../support/web-site.ts'

const OPEN = { urlPreviews: { disallowedNetworks: [], allowedNetworks: ['127.0.0.0/8'] } }
const preview = (url: string) => `/_matrix/client/v1/media/preview_url?url=${encodeURIComponent(url)}`

test('basic', async () => {
  await using site = await startWebSite()
  await using app = await startApp({ config: OPEN })
  site.page('/a', '<html><head><title>Hello</title><meta property="og:image" content="/p.png"></head><body><p>Some text that is a paragraph of the page.</p></body></html>')
  await site.picture('/p.png', 300, 200)
  const answer = await app.ask(preview(site.urlOf('/a')), { token: ALICE.token })
  console.log(answer.status, answer.json, answer.headers)
  const second = await app.ask(preview(site.urlOf('/a')), { token: ALICE.token })
  console.log(second.json, site.requests)
  console.log(app.log().split('\n').filter((l) => /preview|error/.test(l)).join('\n'))
})
