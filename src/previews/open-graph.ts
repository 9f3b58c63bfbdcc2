import { absolute, pageAddress, pixels } from './addresses.ts'
import { present } from './drafts.ts'
import type { Facts, Meta } from './facts.ts'
import type { Draft, Picture } from './preview.ts'

/** What is passed on as it is, as Synapse does: who wrote an article, and when; who a person is; prices, places, languages. */
const PASSED_ON =
  /^(?:article|profile|og(?!:(?:title|description|site_name|type|url|image|video|audio)(?:$|:))):[a-z_:]{1,40}$/
/** Longer values say nothing that a client would show; Synapse leaves them out as well. In characters. */
const LONGEST_VALUE = 1000
const MOST_VALUES = 50

/** What a page says for previews. Source: ogp.me. */
export function openGraph(page: Facts): Draft {
  const first = (name: string): string | undefined => page.metas.find((meta) => meta.name === name)?.content
  return present({
    title: first('og:title'),
    description: first('og:description'),
    siteName: first('og:site_name'),
    type: first('og:type'),
    url: pageAddress(first('og:url'), page.base)?.href,
    pictures: groupsOf(page.metas, 'og:image').flatMap((group) => pictureOf(group, page.base) ?? []),
    more: new Map(
      [...mediaOf(page, 'og:video'), ...mediaOf(page, 'og:audio'), ...passedOn(page)].slice(0, MOST_VALUES),
    ),
  })
}

/** The values of one picture, video or sound: its address is at the empty name, or at `url` or `secure_url`. */
type Group = ReadonlyMap<string, string>

/** All of a kind, each with the properties that follow it. An address that is there already begins the next. */
function groupsOf(metas: readonly Meta[], kind: string): readonly Group[] {
  const groups: Map<string, string>[] = []
  for (const { name, content } of metas) {
    if (name !== kind && !name.startsWith(`${kind}:`)) continue
    const property = name.slice(kind.length + 1)
    const group = groups.at(-1)
    if (!group || property === '' || (isAddress(property) && group.has(property)))
      groups.push(new Map([[property, content]]))
    else if (!group.has(property)) group.set(property, content)
  }
  return groups
}

function isAddress(property: string): boolean {
  return property === '' || property === 'url' || property === 'secure_url'
}

function addressOf(group: Group, base: URL): URL | undefined {
  return ['secure_url', '', 'url']
    .map((property) => absolute(group.get(property), base))
    .find((url) => url !== undefined)
}

function pictureOf(group: Group, base: URL): Picture | undefined {
  const url = addressOf(group, base)
  const [width, height] = [pixels(group.get('width')), pixels(group.get('height'))]
  const [contentType, alt] = [group.get('type')?.toLowerCase(), group.get('alt')]
  return (
    url && {
      url,
      ...(width && height ? { width, height } : {}),
      ...(contentType ? { contentType } : {}),
      ...(alt ? { alt } : {}),
    }
  )
}

/** The first video or sound, with what is said about it; numbers as numbers. */
function mediaOf(page: Facts, kind: string): [string, string | number][] {
  const group = groupsOf(page.metas, kind).find((one) => pageAddress(addressOf(one, page.base)?.href, page.base))
  const url = group && addressOf(group, page.base)
  if (!url || url.href.length > LONGEST_VALUE) return []
  const properties = ['type', 'width', 'height', 'duration'].flatMap((property): [string, string | number][] => {
    const value = group.get(property)
    if (value === undefined || value.length > LONGEST_VALUE) return []
    if (property === 'type') return [[`${kind}:type`, value]]
    const number = pixels(value)
    return number === undefined ? [] : [[`${kind}:${property}`, number]]
  })
  return [[kind, url.href], ...properties]
}

/** The first of each. */
function passedOn(page: Facts): [string, string][] {
  const found = page.metas.filter(({ name, content }) => PASSED_ON.test(name) && content.length <= LONGEST_VALUE)
  return [...new Map(found.toReversed().map(({ name, content }) => [name, content]))].toReversed()
}
