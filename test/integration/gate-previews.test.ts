import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ALICE, startApp, type TestApp } from '../support/app.ts'
import { temporaryFolder } from '../support/folder.ts'
import { LOOPBACK_ALLOWED, pageSaying, previewPath, startWebSite, type WebSite } from '../support/web-site.ts'

async function withPictureOnList(
  action: 'reject' | 'quarantine',
  work: (app: TestApp, site: WebSite) => Promise<void>,
) {
  await using folder = await temporaryFolder()
  await using site = await startWebSite()
  const [bad] = [await site.picture('/bad.png', 320, 200), await site.picture('/fine.png', 200, 320)]
  for (const name of ['bad', 'fine']) {
    site.page(`/${name}`, pageSaying({ title: name, image: site.urlOf(`/${name}.png`) }))
  }
  const source = join(folder.path, 'list')
  await writeFile(source, createHash('sha256').update(bad).digest('hex'))
  const hashLists = [{ source, action }]
  await using app = await startApp({ config: { urlPreviews: LOOPBACK_ALLOWED, moderation: { hashLists } } })
  await work(app, site)
}

const ask = async (app: TestApp, site: WebSite, path: string) =>
  (await app.ask(previewPath(site.urlOf(path)), { token: ALICE.token })).json

test('A preview goes without a picture that is refused, of which nothing is left', async () => {
  await withPictureOnList('reject', async (app, site) => {
    expect(await ask(app, site, '/bad')).toEqual({ 'og:title': 'bad' })
    expect(await app.files()).toEqual([])
    expect(app.sql('SELECT 1 FROM media')).toEqual([])
    expect(await ask(app, site, '/fine')).toMatchObject({ 'og:title': 'fine', 'og:image': expect.any(String) })
  })
})

test('A preview goes without a picture that is quarantined, which administrators can look at', async () => {
  await withPictureOnList('quarantine', async (app, site) => {
    expect(await ask(app, site, '/bad')).toEqual({ 'og:title': 'bad' })
    const [kept] = app.sql('SELECT kind, quarantined_at AS since FROM media')
    expect(kept).toEqual({ kind: 'preview', since: expect.any(Number) })
    expect(app.sql('SELECT source FROM reports')).toEqual([{ source: 'hash_list' }])
  })
})
