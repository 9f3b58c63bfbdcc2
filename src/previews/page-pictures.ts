import { pixels } from './addresses.ts'
import type { Attributes } from './markup.ts'
import type { Region } from './nesting.ts'
import type { Picture } from './preview.ts'
import { bounded, tidy } from './text.ts'

/** A picture as a page names it, before its address is made absolute. */
interface Candidate {
  readonly address: string
  readonly picture: Omit<Picture, 'url'>
  readonly score: number
}

/** As many are compared, and the best of them kept. */
const MOST_COMPARED = 500
const MOST_KEPT = 5
/** No preview is wider: the smallest picture of a set that has it is enough. */
const WIDE_ENOUGH = 1000
/** What a picture of unknown size may be. */
const USUAL_AREA = 400 * 300
const LARGEST_AREA = 1200 * 900
/** Smaller ones count visits or are dots in lists; up to the next they are icons. In pixels, the shorter side. */
const SMALLEST = 16
const ICON = 64
/** Shorter ones are single dots; up to the next, they are what pages show until a script brings the picture. In characters. */
const SHORTEST_DATA_URL = 200
const PLACEHOLDER_DATA_URL = 1000
const LONGEST_ALT = 500
/** Where pages keep the address until a script moves it to `src`. */
const LAZY = ['data-src', 'data-original', 'data-lazy-src', 'data-lazy', 'data-original-src', 'data-src-large'] as const
const LAZY_SETS = ['data-srcset', 'data-lazy-srcset'] as const
const DECORATION =
  /(?:^|[\s/_.-])(?:logo|icons?|sprite|avatar|gravatar|badge|button|btn|spacer|blank|placeholder|loading|emoji|smil(?:ey|ies)|banner|ads?|advert|flag|rating|stars?)(?=$|[\s/_.\d-])/i
const TRACKER =
  /\/(?:pixel|beacon|track(?:ing)?|count(?:er)?|collect|tr)(?:[./?]|$)|[?&]noscript=|doubleclick\.|scorecardresearch\./i
const NOT_SHOWN = /display\s*:\s*none|visibility\s*:\s*hidden|(?:^|[;\s])(?:width|height)\s*:\s*[01]px/i

const IMAGE = new Set([
  'src',
  'srcset',
  ...LAZY,
  ...LAZY_SETS,
  'alt',
  'width',
  'height',
  'class',
  'id',
  'style',
  'hidden',
])

/** What has to be known of elements to find pictures. */
export const pictureAttributes = [
  ['img', IMAGE],
  ['amp-img', IMAGE],
  ['source', new Set(['srcset', 'type', ...LAZY_SETS])],
  ['video', new Set(['poster', 'width', 'height', 'style', 'hidden'])],
] as const

/** Gathers the pictures that stand in a page, and keeps the best. */
export class PagePictures {
  #kept: Candidate[] = []
  #compared = 0
  /** The best of the `source` elements of the `picture` that is open. */
  #source = ''

  open(name: string, attributes: Attributes, region: Region, outOf: string | undefined): void {
    if (name === 'picture') this.#source = ''
    else if (name === 'source' && this.#source === '' && isShown(attributes.get('type')))
      this.#source = setOf(attributes)
    else if (name === 'img' || name === 'amp-img') this.#image(attributes, region, outOf)
    else if (name === 'video') this.#keep(attributes, attributes.get('poster') ?? '', region, outOf)
  }

  close(name: string): void {
    if (name === 'picture') this.#source = ''
  }

  /** The best first. */
  end(absolute: (address: string) => URL | undefined): readonly Picture[] {
    return this.#kept.flatMap(({ address, picture }) => {
      const url = absolute(address)
      return url ? [{ url, ...picture }] : []
    })
  }

  #image(attributes: Attributes, region: Region, outOf: string | undefined): void {
    const source = this.#source
    this.#source = ''
    this.#keep(attributes, addressOf(attributes, source), region, outOf)
  }

  #keep(attributes: Attributes, address: string, region: Region, outOf: string | undefined): void {
    if (address === '' || this.#compared >= MOST_COMPARED) return
    const score = scoreOf(attributes, address, region, outOf) * (1 - this.#compared / (2 * MOST_COMPARED))
    this.#compared++
    const worst = this.#kept.at(-1)
    if (score === 0 || (this.#kept.length >= MOST_KEPT && worst && worst.score >= score)) return
    this.#kept = [...this.#kept, candidate(attributes, address, score)]
      .sort((one, other) => other.score - one.score)
      .slice(0, MOST_KEPT)
  }
}

function candidate(attributes: Attributes, address: string, score: number): Candidate {
  const [width, height] = [pixels(attributes.get('width')), pixels(attributes.get('height'))]
  const alt = bounded(tidy(attributes.get('alt') ?? ''), LONGEST_ALT)
  const picture = { ...(width && height ? { width, height } : {}), ...(alt ? { alt } : {}) }
  return { address, picture, score }
}

function addressOf(attributes: Attributes, source: string): string {
  const lazy = LAZY.map((name) => attributes.get(name)?.trim()).find(Boolean)
  const plain = attributes.get('src')?.trim() ?? ''
  return (
    setOf(attributes) || source || lazy || (plain.startsWith('data:') && plain.length < SHORTEST_DATA_URL ? '' : plain)
  )
}

/** The best of the pictures that `srcset` names: the first that is wide enough, else the widest. Source: HTML 4.8.4.2. */
function setOf(attributes: Attributes): string {
  const set = [...LAZY_SETS, 'srcset'].map((name) => attributes.get(name)).find(Boolean)
  let best = { address: '', width: 0 }
  for (const { address, width } of set ? candidatesOf(set) : []) {
    const better = best.width < WIDE_ENOUGH ? width > best.width : width >= WIDE_ENOUGH && width < best.width
    if (better && !address.startsWith('data:')) best = { address, width }
  }
  return best.address
}

/** Takes `a.jpg 480w, b.jpg 2x` apart; addresses may have commas in them, but not at their end. */
function* candidatesOf(set: string): Generator<{ readonly address: string; readonly width: number }> {
  let address = ''
  for (const word of set.trim().split(/\s+/)) {
    const [, size, unit, next] = (address && /^([\d.]{1,10})([wx])(?:,(.*))?$/.exec(word)) || []
    if (size !== undefined) {
      yield { address, width: Number(size) * (unit === 'w' ? 1 : WIDE_ENOUGH / 2) }
      address = next ?? ''
      continue
    }
    if (address) yield { address: withoutComma(address), width: WIDE_ENOUGH / 2 }
    address = word === ',' ? '' : word
  }
  if (address) yield { address: withoutComma(address), width: WIDE_ENOUGH / 2 }
}

function withoutComma(address: string): string {
  return address.endsWith(',') ? address.slice(0, -1) : address
}

/** Zero for what no preview should show. */
function scoreOf(attributes: Attributes, address: string, region: Region, outOf: string | undefined): number {
  const [width, height] = [pixels(attributes.get('width')), pixels(attributes.get('height'))]
  if ((width ?? SMALLEST) < SMALLEST || (height ?? SMALLEST) < SMALLEST) return 0
  if (
    (!address.startsWith('data:') && TRACKER.test(address)) ||
    NOT_SHOWN.test(attributes.get('style') ?? '') ||
    attributes.has('hidden')
  )
    return 0
  const area = width && height ? Math.min(width * height, LARGEST_AREA) : USUAL_AREA
  const words = `${address.startsWith('data:') ? '' : address} ${attributes.get('class') ?? ''} ${attributes.get('id') ?? ''}`
  return (
    area *
    shapeFactor(width, height) *
    placeFactor(region, outOf) *
    (DECORATION.test(words) ? 0.1 : 1) *
    kindFactor(address)
  )
}

function kindFactor(address: string): number {
  if (address.startsWith('data:')) return address.length < PLACEHOLDER_DATA_URL ? 0.05 : 0.5
  return /\.svg(?:[?#]|$)/i.test(address) ? 0.5 : 1
}

/** Pictures about something are neither icons nor strips. */
function shapeFactor(width: number | undefined, height: number | undefined): number {
  if (!width || !height) return Math.min(width ?? ICON, height ?? ICON) < ICON ? 0.05 : 1
  if (Math.min(width, height) < ICON) return 0.05
  const ratio = Math.max(width / height, height / width)
  return ratio > 3 ? 0.1 : 1
}

function placeFactor(region: Region, outOf: string | undefined): number {
  if (region === 'main') return 2
  if (region === 'body') return 1
  // For browsers without scripts, pages repeat what comes lazily.
  return outOf === 'noscript' || outOf === 'video' ? 0.8 : 0.1
}

/** Whether clients can show pictures of that type: newer ones (AVIF, JPEG XL) are followed by others. */
function isShown(type: string | undefined): boolean {
  return type === undefined || /^image\/(?:jpeg|png|webp|gif)$/i.test(type.trim())
}
