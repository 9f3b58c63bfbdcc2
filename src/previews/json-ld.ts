import { absolute, pixels } from './addresses.ts'
import { present } from './drafts.ts'
import type { Facts } from './facts.ts'
import { readText } from './page.ts'
import type { Draft, Picture } from './preview.ts'

type Node = Readonly<Record<string, unknown>>

const MOST_NODES = 200
const MOST_PICTURES = 5

/** What a page is about, the best first, and what `og:type` calls it. What is not named here says nothing about the page. */
const KINDS: readonly (readonly [type: RegExp, ogType: string | undefined])[] = [
  [/^(?:VideoObject|Clip|TVEpisode|Episode)$/, 'video.other'],
  [/^(?:Movie)$/, 'video.movie'],
  [/(?:Article|Posting|Report|Review)$/, 'article'],
  [/^(?:Recipe|HowTo|QAPage|FAQPage|Question)$/, undefined],
  [/^(?:Product|ProductGroup|Vehicle|Car|IndividualProduct)$/, 'product'],
  [/^(?:Book|Audiobook)$/, 'book'],
  [/^(?:MusicRecording)$/, 'music.song'],
  [/^(?:MusicAlbum)$/, 'music.album'],
  [/^(?:MusicPlaylist)$/, 'music.playlist'],
  [
    /(?:Event|Festival|Course|JobPosting|Dataset|SoftwareApplication|SoftwareSourceCode|PodcastSeries|TVSeries|CreativeWork)$/,
    undefined,
  ],
  [/^(?:ProfilePage|Person)$/, 'profile'],
  [/(?:Page|Place|Restaurant|Hotel|LocalBusiness)$/, undefined],
]

/** What a page says about its subject to search engines. Source: schema.org, JSON-LD 1.1. */
export function jsonLd(page: Facts): Draft {
  const nodes = page.jsonLd.flatMap(nodesOf).slice(0, MOST_NODES)
  const site = nodes.find((node) => typesOf(node).includes('WebSite'))
  const { subject, ogType } = subjectOf(nodes)
  const lookUp = (value: unknown): unknown => follow(value, nodes)
  return present({
    title: text(subject['headline']) ?? text(subject['name']),
    description: text(subject['description']),
    siteName: nameOf(lookUp(subject['publisher'])) ?? nameOf(site) ?? nameOf(lookUp(subject['author'])),
    type: ogType,
    pictures: picturesOf(subject, lookUp, page.base),
  })
}

/** The nodes of a script: one, several, or a graph of them. */
function nodesOf(value: unknown): Node[] {
  const values = Array.isArray(value) ? value.slice(0, MOST_NODES) : [value]
  return values.filter(isNode).flatMap((node) => {
    const graph = node['@graph']
    return Array.isArray(graph) ? [node, ...graph.slice(0, MOST_NODES).filter(isNode)] : [node]
  })
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Without the vocabulary's address, which some write out. */
function typesOf(node: Node): string[] {
  return listOf(node['@type']).flatMap((type) => (typeof type === 'string' ? type.replace(/^.*[/:#]/, '') : []))
}

function subjectOf(nodes: readonly Node[]): { readonly subject: Node; readonly ogType?: string | undefined } {
  for (const [type, ogType] of KINDS) {
    const subject = nodes.find((node) => typesOf(node).some((name) => type.test(name)))
    if (subject) return { subject, ogType }
  }
  return { subject: {} }
}

/** What a reference within the page stands for. */
function follow(value: unknown, nodes: readonly Node[]): unknown {
  const one = Array.isArray(value) ? value[0] : value
  if (!isNode(one) || typeof one['@id'] !== 'string' || Object.keys(one).length > 1) return one
  return nodes.find((node) => node['@id'] === one['@id'] && Object.keys(node).length > 1)
}

function picturesOf(subject: Node, lookUp: (value: unknown) => unknown, base: URL): Picture[] {
  const values = ['image', 'thumbnailUrl', 'thumbnail', 'primaryImageOfPage'].flatMap((key) => listOf(subject[key]))
  return values.slice(0, MOST_PICTURES).flatMap((value) => pictureOf(lookUp(value), base) ?? [])
}

/** A picture is its address, or an object that has one. */
function pictureOf(value: unknown, base: URL): Picture | undefined {
  if (typeof value === 'string') return withUrl(value, base)
  if (!isNode(value)) return undefined
  const [width, height] = [sizeOf(value['width']), sizeOf(value['height'])]
  const picture = [value['contentUrl'], value['url']].map((address) => withUrl(listOf(address)[0], base)).find(Boolean)
  return picture && { ...picture, ...(width && height ? { width, height } : {}) }
}

function withUrl(address: unknown, base: URL): Picture | undefined {
  const url = typeof address === 'string' ? absolute(address, base) : undefined
  return url && { url }
}

/** A number, or `{ "@type": "QuantitativeValue", "value": 640 }`. */
function sizeOf(value: unknown): number | undefined {
  const bare = isNode(value) ? value['value'] : value
  return typeof bare === 'string' || typeof bare === 'number' ? pixels(String(bare)) : undefined
}

function nameOf(value: unknown): string | undefined {
  return isNode(value) ? text(value['name']) : text(value)
}

/** A text, which some sites write as HTML. */
function text(value: unknown): string | undefined {
  const one = Array.isArray(value) ? value[0] : value
  const bare = isNode(one) ? one['@value'] : one
  return typeof bare === 'string' ? readText(bare) || undefined : undefined
}

function listOf(value: unknown): unknown[] {
  if (value === undefined || value === null) return []
  return Array.isArray(value) ? value.slice(0, MOST_NODES) : [value]
}
