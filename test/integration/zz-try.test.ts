import { writeFileSync } from 'node:fs'
import { test } from 'vitest'
import { startWeb } from '../support/web/server.ts'
import { startPreviewing } from '../support/web/app.ts'
import { pages } from '../support/web/pages.ts'
import { previewOf } from '../support/web/ask.ts'
test('try', async () => {
  await using web = await startWeb(pages)
  await using p = await startPreviewing(web)
  const out: Record<string, unknown> = {}
  for (const page of pages) {
    try { out[page.at] = await previewOf(p.asked, web, page) } catch (e) { out[page.at] = String(e) }
  }
  writeFileSync('/tmp/web7-ours.json', JSON.stringify(out, null, 1))
  writeFileSync('/tmp/web7-ours.log', p.app.log())
})
