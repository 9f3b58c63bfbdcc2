/** Browsers list up to a dozen; what comes late is hardly ever what a page has. */
const MOST_LANGUAGES = 4
const TAG = /^[a-z]{1,8}(-[a-z0-9]{1,8})*$/i
const ENGLISH = 'en-US,en;q=0.9'

/**
 * The `Accept-Language` with which pages are asked: the client's, or the default where it names none. In one form for all that mean
 * the same, because each form has previews of its own: the best four languages in order, with weights of ours.
 */
export function languageOf(accepted: string | undefined, otherwise: string): string {
  return (accepted && normalised(accepted)) || normalised(otherwise) || ENGLISH
}

function normalised(header: string): string | undefined {
  const wanted = header
    .slice(0, 500)
    .split(',')
    .map(readOne)
    .filter(({ tag, weight }) => TAG.test(tag) && weight > 0)
    .toSorted((a, b) => b.weight - a.weight)
  const tags = [...new Set(wanted.map(({ tag }) => canonical(tag)))].slice(0, MOST_LANGUAGES)
  if (tags.length === 0) return undefined
  return tags.map((tag, index) => (index === 0 ? tag : `${tag};q=${(1 - index / 10).toFixed(1)}`)).join(',')
}

function readOne(text: string): { readonly tag: string; readonly weight: number } {
  const [tag = '', ...parameters] = text.split(';').map((part) => part.trim())
  const given = parameters.find((parameter) => /^q=/i.test(parameter))?.slice(2)
  const weight = given === undefined ? 1 : Number(given)
  return { tag, weight: Number.isFinite(weight) ? weight : 0 }
}

/** As sites write them: `de-AT`, `zh-Hant-TW`. */
function canonical(tag: string): string {
  const [language = '', ...rest] = tag.toLowerCase().split('-')
  const cased = rest.map((part) => {
    if (part.length === 2) return part.toUpperCase()
    return part.length === 4 ? part.charAt(0).toUpperCase() + part.slice(1) : part
  })
  return [language, ...cased].join('-')
}
