/** A real browser for tests: the machine's own Chromium, driven by Playwright, and pages in it that are watched. */
import {
  type Browser,
  type BrowserContextOptions,
  chromium,
  type Download,
  type Page,
  type Request,
} from 'playwright-core'
import { readFile } from 'node:fs/promises'
import { requireService } from './services.ts'

export interface TestBrowser extends AsyncDisposable {
  /** A page as if of a person who was never here before. */
  readonly open: (options?: BrowserContextOptions) => Promise<WatchedPage>
}

export interface WatchedPage extends AsyncDisposable {
  readonly page: Page
  /** What nobody wants to see: errors and warnings, scripts that failed, what the browser blocked, requests to other hosts. */
  readonly troubles: readonly string[]
  /** What scripts wrote to the console. */
  readonly said: readonly string[]
  /** Does something that ends in a download; gives its bytes and its name. */
  readonly download: (begin: () => Promise<unknown>) => Promise<{ readonly name: string; readonly bytes: Buffer }>
}

/**
 * Starts the browser. `hosts`: the host names that there are in its world, and at which port of 127.0.0.1 each is. Needs
 * `describeWith('browser', …)`.
 */
export async function startBrowser(hosts: Readonly<Record<string, number>>): Promise<TestBrowser> {
  const known = Object.entries(hosts).map(([host, port]) => `MAP ${host} 127.0.0.1:${port}`)
  const browser = await chromium.launch({
    executablePath: requireService('browser'),
    args: [`--host-resolver-rules=${[...known, 'MAP * ~NOTFOUND'].join(', ')}`],
  })
  return {
    open: (options) => openWatched(browser, Object.keys(hosts), options),
    [Symbol.asyncDispose]: () => browser.close(),
  }
}

async function openWatched(
  browser: Browser,
  hosts: readonly string[],
  options: BrowserContextOptions = {},
): Promise<WatchedPage> {
  const context = await browser.newContext({ viewport: { width: 1000, height: 800 }, ...options })
  const page = await context.newPage()
  const troubles: string[] = []
  const said: string[] = []
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) troubles.push(`console: ${message.text()}`)
    else said.push(message.text())
  })
  page.on('pageerror', (error) => void troubles.push(`script: ${error.message}`))
  page.on('dialog', (dialog) => {
    troubles.push(`dialog: ${dialog.message()}`)
    void dialog.dismiss()
  })
  page.on('popup', (popup) => void troubles.push(`popup: ${popup.url()}`))
  context.on('request', (request) => {
    if (isElsewhere(request, hosts)) troubles.push(`request to another host: ${request.url()}`)
  })
  context.on('requestfailed', (request) => {
    // That is what a download looks like.
    const { errorText = '' } = request.failure() ?? {}
    if (errorText !== 'net::ERR_ABORTED') troubles.push(`${request.url()}: ${errorText}`)
  })
  return {
    page,
    troubles,
    said,
    download: async (begin) => {
      const [download] = await Promise.all([page.waitForEvent('download'), begin()])
      return { name: download.suggestedFilename(), bytes: await bytesOf(download) }
    },
    [Symbol.asyncDispose]: () => context.close(),
  }
}

function isElsewhere(request: Request, hosts: readonly string[]): boolean {
  const { protocol, host } = new URL(request.url())
  return protocol !== 'data:' && protocol !== 'file:' && !hosts.includes(host)
}

async function bytesOf(download: Download): Promise<Buffer> {
  return await readFile(await download.path())
}

/** Goes to an address that may be a download, which is not gone to. */
export async function goTo(page: Page, url: string): Promise<'shown' | 'downloaded'> {
  const downloaded = page.waitForEvent('download', { timeout: 0 }).then(
    () => 'downloaded' as const,
    () => 'shown' as const,
  )
  try {
    await page.goto(url)
    return 'shown'
  } catch (error) {
    if (!String(error).includes('Download is starting')) throw error
    return await downloaded
  }
}

/** The width that a page needs, in CSS pixels: more than the window has means scrolling sideways. */
export const neededWidth = async (page: Page) => await page.evaluate<number>('document.documentElement.scrollWidth')

/** What is run in the page stands in strings: the types of the browser's own world are not those of ours. */
const LOWEST_CONTRAST = String.raw`(() => {
  const luminance = (colour) => {
    const [red, green, blue] = colour.match(/[\d.]+/g).map((part) => {
      const share = Number(part) / 255
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
  }
  const background = luminance(getComputedStyle(document.documentElement).backgroundColor)
  const texts = [...document.querySelectorAll('main :not(button)')]
  return Math.min(...texts.map((element) => {
    const own = luminance(getComputedStyle(element).color)
    return (Math.max(own, background) + 0.05) / (Math.min(own, background) + 0.05)
  }))
})()`

/** The lowest contrast of all texts of a page with its background, by WCAG's formula: 4.5 is what people should have. */
export const lowestContrast = async (page: Page) => await page.evaluate<number>(LOWEST_CONTRAST)

const FOCUSED = `(() => {
  const { activeElement: focused } = document
  return focused === null || focused === document.body ? '' : focused.tagName + ' ' + focused.textContent
})()`

/** What the Tab key reaches, one after the other, until it leaves the page: names of elements, and their text. */
export async function tabStops(page: Page): Promise<string[]> {
  const stops: string[] = []
  for (let pressed = 0; pressed < 200; pressed++) {
    await page.keyboard.press('Tab')
    const stop = await page.evaluate<string>(FOCUSED)
    if (stop === '' || stop === stops[0]) break
    stops.push(stop)
  }
  return stops
}

const PICTURES = `Promise.all([...document.images].map(async (image) => {
  image.loading = 'eager'
  await image.decode().catch(() => {})
  const { width, height } = image.getBoundingClientRect()
  return { width: image.naturalWidth, height: image.naturalHeight, isSeen: width > 0 && height > 0 }
}))`

export interface DrawnPicture {
  /** Pixels; 0: the browser could make nothing of it. */
  readonly width: number
  readonly height: number
  readonly isSeen: boolean
}

/** The pictures of a page, once all are there. */
export const drawnPictures = async (page: Page) => await page.evaluate<DrawnPicture[]>(PICTURES)
