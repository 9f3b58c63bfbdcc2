import { textInXml } from './bodies.ts'
import { Markup } from './markup.ts'

/** The members of an oEmbed answer: of a JSON one as they are, of an XML one all text. */
export type OEmbedFields = Readonly<Record<string, unknown>>

/** An answer cannot be used; the message says why, for the log. */
export class UnusableAnswer extends Error {
  override readonly name = 'UnusableAnswer'
}

const JSON_TYPE =
  /^(?:(?:application|text)\/(?:[\w.+-]+\+)?(?:json|json\+oembed|x-json|javascript|x-javascript)|text\/plain|)$/
const XML_TYPE = /^(?:application|text)\/(?:xml|xml\+oembed|[\w.+-]+\+xml)$/

/**
 * Reads an oEmbed answer.
 *
 * @throws {UnusableAnswer} when it is of another type than JSON and XML, damaged, or of a version that is not known
 */
export function oEmbedFields(contentType: string, text: string): OEmbedFields {
  const fields = fieldsOf(contentType, text)
  const version = versionOf(fields)
  // A number or missing in many answers. Source: oEmbed specification, section 2.3.4 (must be 1.0).
  if (version === undefined || /^\s*1(?:\.0+)?\s*$/.test(version)) return fields
  throw new UnusableAnswer(`oEmbed of version ${version.slice(0, 20)}; only 1.0 is known`)
}

function versionOf({ version }: OEmbedFields): string | undefined {
  return version === undefined || version === null
    ? undefined
    : typeof version === 'string'
      ? version
      : JSON.stringify(version)
}

function fieldsOf(contentType: string, text: string): OEmbedFields {
  if (XML_TYPE.test(contentType)) return xmlFields(text)
  if (!JSON_TYPE.test(contentType)) throw new UnusableAnswer(`oEmbed is JSON or XML, not ${contentType}`)
  const value = parsed(text)
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return Object.fromEntries(Object.entries(value))
  throw new UnusableAnswer('oEmbed that is no JSON object')
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text.trim())
  } catch (error) {
    throw new UnusableAnswer('oEmbed that is no JSON', { cause: error })
  }
}

const MOST_FIELDS = 100

/** The elements within `oembed`, without what is deeper. */
function xmlFields(text: string): OEmbedFields {
  const fields = new Map<string, string>()
  const path: string[] = []
  const markup = new Markup(
    {
      wanted: new Map(),
      open: (name, _, closed) => {
        if (!closed) path.push(name)
      },
      close: () => {
        path.pop()
      },
      text: (piece) => {
        const [root, name] = path
        if (root !== 'oembed' || name === undefined || path.length > 2 || fields.size >= MOST_FIELDS) return
        fields.set(name, (fields.get(name) ?? '') + piece)
      },
    },
    { xml: true },
  )
  markup.write(text)
  markup.end()
  if (fields.size === 0) throw new UnusableAnswer('oEmbed without an <oembed> element')
  return Object.fromEntries([...fields].map(([name, text]) => [name, textInXml(text)]))
}
