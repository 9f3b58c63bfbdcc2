/** What people see of an export: its page in a real browser, and the page in the archive. */
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type HeldClock, heldClock, startApp, type TestApp } from '../support/app.ts'
import { BASE, download, exported, filesIn, metadataOf } from '../support/archives.ts'
import {
  drawnPictures,
  lowestContrast,
  neededWidth,
  startBrowser,
  tabStops,
  type TestBrowser,
} from '../support/browser.ts'
import { temporaryFolder } from '../support/folder.ts'
import { noise } from '../support/images.ts'
import { describeWith } from '../support/services.ts'

const ADMIN = { token: 'syt_admin_Ag5h', userId: '@admin:example.org', admin: true }
const DAVE = { token: 'syt_dave_Kl2p', userId: '@dave:example.org' }
/** As long as may be. */
const LONG = { token: 'syt_long_Pq6s', userId: `@${'m'.repeat(240)}:example.org` }
const SCRIPT = `console.log('ran');document.title='ran'`

/** Names that people give, and how they are shown. */
const NAMES: readonly (readonly [string, string])[] = [
  ['Grüße – 日本 ☕.png', 'Grüße – 日本 ☕.png'],
  [`<script>${SCRIPT};.png`, `<script>${SCRIPT};.png`],
  [`"><img src=x onerror="${SCRIPT}">.png`, `"><img src=x onerror="${SCRIPT}">.png`],
  ['&lt;b&gt;&amp;.png', '&lt;b&gt;&amp;.png'],
  // Turned around it would read as photoexe.png.
  ['photo\u202Egnp.exe', 'photo\u{FFFD}gnp.exe'],
  ['שלום עולם.png', 'שלום עולם.png'],
  ['\u200Fright.png', '\u200Fright.png'],
  [`${'W'.repeat(240)}.png`, `${'W'.repeat(240)}.png`],
]

const viewOf = (id: string) => `http://example.org${BASE}/export/${id}/view`

describeWith('browser', 'An export, in a browser', () => {
  let app: TestApp
  let browser: TestBrowser
  let clock: HeldClock
  let picture: Buffer
  beforeAll(async () => {
    clock = heldClock()
    const config = { admins: [ADMIN.userId], archiving: { targetBytesPerPart: 60_000 } }
    app = await startApp({ config, clock })
    for (const user of [ADMIN, DAVE, LONG]) app.homeserver.addUser(user)
    picture = await noise({ width: 800, height: 600 }).jpeg().toBuffer()
    for (const [name] of NAMES) await app.upload(picture, { token: DAVE.token, name, type: 'image/jpeg' })
    await app.upload(`<script>${SCRIPT}</script>`, { token: DAVE.token, name: 'page.html', type: 'text/html' })
    // As a picture it can do no harm, opened from a disk it would run.
    const drawing = `<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="8" height="6" onload="${SCRIPT}"/>`
    await app.upload(drawing, { token: DAVE.token, name: 'drawing.png', type: 'image/png' })
    for (let n = NAMES.length + 2; n < 53; n++) {
      await app.upload(randomBytes(2000), { token: DAVE.token, name: `${n}.bin`, type: 'application/x-any' })
    }
    await app.upload(picture, { token: LONG.token, name: NAMES[7]?.[0] ?? '', type: 'image/jpeg' })
    browser = await startBrowser({ 'example.org': app.port })
  })
  afterAll(async () => {
    await browser?.[Symbol.asyncDispose]()
    await app?.[Symbol.asyncDispose]()
  })

  test('shows its media with their pictures, and whatever they are called as text', async () => {
    const id = await exported(app, DAVE.userId, ADMIN.token)
    await using visit = await browser.open()
    const { page, troubles } = visit
    await page.goto(viewOf(id))
    expect(await page.getByRole('heading', { level: 1 }).innerText()).toBe(`Export of ${DAVE.userId}`)
    const links = await page.locator('.media a').allTextContents()
    const shown = [...NAMES.map(([, one]) => one), 'page.html', 'drawing.png']
    expect(links.slice(0, shown.length)).toEqual(shown)
    const pictures = await drawnPictures(page)
    // Small ones, whatever the size of the files; the last one is no picture.
    const small = { width: 320, height: 240, isSeen: true }
    expect(pictures).toEqual([...NAMES.map(() => small), { width: 0, height: 0, isSeen: true }])
    await page.getByRole('link', { name: 'Later media' }).first().click()
    expect(await page.locator('.media a').allTextContents()).toEqual(['50.bin', '51.bin', '52.bin'])
    expect(await page.locator('nav').first().innerText()).toContain('51 to 53 of 53')
    await page.getByRole('link', { name: 'Earlier media' }).first().click()
    expect(await page.locator('.media li').count()).toBe(50)
    expect([troubles, visit.said]).toEqual([[], []])
  })

  test('gives its files and each media at a click, byte for byte', async () => {
    const id = await exported(app, DAVE.userId, ADMIN.token)
    await using visit = await browser.open()
    const { page, troubles } = visit
    await page.goto(viewOf(id))
    const { parts } = await metadataOf(app, id)
    const expected = await download(app, id)
    for (const [index, { name }] of parts.entries()) {
      const got = await visit.download(() => page.getByRole('link', { name, exact: true }).click())
      expect([name, got.name, got.bytes.equals(expected[index] ?? Buffer.alloc(0))]).toEqual([name, name, true])
    }
    const page2 = await visit.download(() => page.getByRole('link', { name: 'page.html' }).click())
    expect([page2.name, String(page2.bytes)]).toEqual(['page.html', `<script>${SCRIPT}</script>`])
    await page.getByRole('link', { name: 'Grüße' }).click()
    await page.waitForURL('**/file/1')
    expect(await drawnPictures(page)).toMatchObject([{ width: 800, height: 600 }])
    await page.goBack()
    expect(await page.getByRole('link', { name: 'Grüße' }).isVisible()).toBe(true)
    expect([troubles.filter(isOurs), visit.said]).toEqual([[], []])
  })

  test('is deleted at two clicks, and its link then says in words that it is gone', async () => {
    const id = await exported(app, DAVE.userId, ADMIN.token)
    await using visit = await browser.open()
    const { page, troubles } = visit
    await page.goto(viewOf(id))
    const button = page.getByRole('button', { name: 'Delete it for good' })
    expect(await button.isVisible()).toBe(false)
    await page.getByText('Delete this export').click()
    await button.click()
    await page.getByText('It is deleted.').waitFor()
    expect([troubles, (await app.ask(`${BASE}/export/${id}/metadata`)).status]).toEqual([[], 404])
    for (const path of ['view', 'part/1', 'file/1']) {
      const answer = await page.goto(viewOf(id).replace('view', path))
      expect([path, answer?.status()]).toEqual([path, 404])
      expect(await page.getByRole('main').innerText()).toBe(
        'Not here\n\nThere is no such export: it was deleted, or its time is over.',
      )
    }
    const asked = await app.ask(`${BASE}/export/${id}/view`, { headers: { accept: '*/*' } })
    expect(asked.json, 'programs').toMatchObject({ errcode: 'M_NOT_FOUND' })
  })

  test('says in words that a file is withheld, because something in it was quarantined since', async () => {
    const user = { token: 'syt_erin_Vb9n', userId: '@erin:example.org' }
    app.homeserver.addUser(user)
    // Not the picture of the others: what is quarantined is content, under all its names.
    const bad = await noise({ width: 90, height: 60 }).png().toBuffer()
    const media = await app.upload(bad, { token: user.token, name: 'bad.png' })
    const id = await exported(app, user.userId, ADMIN.token)
    await app.ask(`${BASE}/quarantine/${media}`, { method: 'POST', token: ADMIN.token })
    await using visit = await browser.open()
    const { page } = visit
    await page.goto(viewOf(id))
    expect(await page.locator('.media').innerText()).toContain('Not here: quarantined by the administrators')
    expect([await page.locator('.media a').count(), await drawnPictures(page)]).toEqual([0, []])
    await page.getByRole('link', { name: 'export-part-1.tgz' }).click()
    await page.getByText('Something in this file was quarantined since: make a new export.').waitFor()
    expect((await app.ask(`${BASE}/export/${id}/file/1/picture`)).status).toBe(404)
  })

  test('is the same to the keyboard alone, without scripts', async () => {
    const id = await exported(app, DAVE.userId, ADMIN.token)
    await using visit = await browser.open({ javaScriptEnabled: false })
    const { page, troubles } = visit
    await page.goto(`${viewOf(id)}?from=48`)
    const spoken = await page.locator('main').ariaSnapshot()
    expect(spoken, 'everything has a name').not.toMatch(/- (link|button|navigation)(:|$)/m)
    const { parts } = await metadataOf(app, id)
    expect(await tabStops(page)).toEqual([
      ...parts.map(({ name }) => `A ${name}`),
      'A Earlier media',
      ...[48, 49, 50, 51, 52].map((n) => `A ${n}.bin`),
      'A Earlier media',
      'SUMMARY Delete this export',
    ])
    await page.locator('summary').focus()
    await page.keyboard.press('Enter')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.getByText('It is deleted.').waitFor()
    expect(troubles).toEqual([])
  })

  test('is over after archiving.keepDays, and its link says so', async () => {
    const id = await exported(app, DAVE.userId, ADMIN.token)
    clock.wait(15 * 24 * 3_600_000)
    await using visit = await browser.open()
    await visit.page.goto(viewOf(id))
    await visit.page.getByText('There is no such export: it was deleted, or its time is over.').waitFor()
  })

  describe('Light and dark, wide and narrow', () => {
    test('all pages are readable, and none has to be scrolled sideways', async () => {
      const id = await exported(app, LONG.userId, ADMIN.token)
      const folder = await unpacked(app, id)
      await using _ = folder
      const gone = viewOf('0'.repeat(32))
      for (const colorScheme of ['light', 'dark'] as const) {
        await using visit = await browser.open({ colorScheme, viewport: { width: 320, height: 640 } })
        const { page } = visit
        for (const url of [viewOf(id), folder.url, gone, 'http://example.org/']) {
          await page.goto(url)
          await page.locator('details').evaluateAll((all) => all.map((one) => one.setAttribute('open', '')))
          await drawnPictures(page)
          expect([url, await neededWidth(page)]).toEqual([url, 320])
          expect([url, (await lowestContrast(page)) >= 4.5]).toEqual([url, true])
        }
        const background = await page.evaluate('getComputedStyle(document.documentElement).backgroundColor')
        expect(background === 'rgb(255, 255, 255)').toBe(colorScheme === 'light')
      }
    })
  })

  test('has a page in its archive that works from a folder', async () => {
    const id = await exported(app, DAVE.userId, ADMIN.token)
    await using folder = await unpacked(app, id)
    await using visit = await browser.open()
    const { page, troubles } = visit
    await page.goto(folder.url)
    const links = page.locator('.media a')
    expect(await links.allTextContents()).toEqual([...NAMES.map(([, shown]) => shown), 'page.html'])
    expect(await page.locator('.media li').count()).toBe(53)
    expect(await drawnPictures(page)).toEqual([
      ...NAMES.map(() => ({ width: 800, height: 600, isSeen: true })),
      { width: 8, height: 6, isSeen: true },
    ])
    expect(await page.getByText('drawing.png').locator('..').innerText()).toMatch(/In this folder as .*\.svg/)
    for (const [index, found] of [
      [0, { width: 800, height: 600 }],
      [NAMES.length, undefined],
    ] as const) {
      await links.nth(index).click()
      await page.waitForURL(/example\.org__/)
      expect(await drawnPictures(page)).toMatchObject(found ? [found] : [])
      await page.goBack()
    }
    expect([troubles, visit.said]).toEqual([[], []])
  })

  test('What answers at the server’s address says what it is', async () => {
    await using visit = await browser.open()
    const { page, troubles } = visit
    await page.goto('http://example.org/')
    expect(await page.title()).toBe('Cellarium')
    for (const link of await page.getByRole('link').all()) {
      const url = new URL((await link.getAttribute('href')) ?? '', page.url())
      expect([url.pathname, (await app.ask(url.pathname)).status]).toEqual([url.pathname, 200])
    }
    expect(troubles).toEqual([])
  })
})

/** The specification's policy for media has this directive, of which browsers know nothing any more. */
const isOurs = (trouble: string) => !trouble.includes("directive 'plugin-types' has been removed")

/** An archive, unpacked into a folder, and the address of its page. */
async function unpacked(app: TestApp, id: string): Promise<AsyncDisposable & { readonly url: string }> {
  const folder = await temporaryFolder()
  for (const part of await download(app, id)) {
    for (const [name, bytes] of await filesIn(part)) await writeFile(join(folder.path, name), bytes)
  }
  const url = pathToFileURL(join(folder.path, 'index.html')).href
  return { url, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() }
}
