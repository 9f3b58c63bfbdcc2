import { absolute } from './addresses.ts'
import { present } from './drafts.ts'
import type { Facts } from './facts.ts'
import type { Draft, Picture } from './preview.ts'
import { shorten } from './text.ts'

/** Paragraphs are added until there is that much of them, in characters, and cut where they are too long: as Synapse does. */
const ENOUGH_TEXT = 200
const MOST_TEXT = 500

/** What a page says without knowing about previews: its title, description, text and pictures. */
export function plainHtml(page: Facts): Draft {
  return present({
    title: page.title ?? page.headings[0],
    description: named(page, 'description', 'dc.description', 'dcterms.description') ?? beginning(page.paragraphs),
    siteName: named(page, 'application-name'),
    url: page.links.find(({ rel }) => rel === 'canonical')?.url.href,
    pictures: [...namedPictures(page), ...page.pictures, ...icons(page)],
  })
}

function named(page: Facts, ...names: string[]): string | undefined {
  return page.metas.find((meta) => names.includes(meta.name))?.content
}

function beginning(paragraphs: readonly string[]): string | undefined {
  let text = ''
  for (const paragraph of paragraphs) {
    if (text.length >= ENOUGH_TEXT) break
    text = text === '' ? paragraph : `${text} ${paragraph}`
  }
  return shorten(text, { words: 0, characters: MOST_TEXT })
}

/** What the page itself calls its picture. */
function namedPictures(page: Facts): Picture[] {
  const address = named(page, 'image', 'thumbnailurl', 'thumbnail')
  const urls = [absolute(address, page.base), page.links.find(({ rel }) => rel === 'image_src')?.url]
  return urls.flatMap((url) => (url ? [{ url }] : []))
}

/** The site's icon, for want of a picture: the largest, those for home screens first. */
function icons(page: Facts): Picture[] {
  const found = page.links.filter(({ rel, type }) => rel.includes('icon') && type !== 'image/svg+xml')
  const sizeOf = (icon: (typeof found)[number]): number => icon.width ?? (icon.rel === 'icon' ? 16 : 180)
  const best = found.sort((one, other) => sizeOf(other) - sizeOf(one))[0]
  return best
    ? [{ url: best.url, ...(best.width && best.height ? { width: best.width, height: best.height } : {}) }]
    : []
}
