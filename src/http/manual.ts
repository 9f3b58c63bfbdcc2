import type { Description } from './described.ts'
import { INTRODUCTION, LIMITED, PLACES, SELF_SERVICE } from './manual-text.ts'
import { ownRefusals } from './openapi.ts'
import type { JsonSchema, Parameter, Shape } from './parameters.ts'
import { callersOf, servedBy } from './rights.ts'
import type { Route } from './route.ts'

interface Entry {
  readonly route: Route
  readonly description: Description
}

/** docs/admin-api.md: every described route, with parameters, an example and its answer, chapter by chapter. */
export function adminManual(routes: readonly Route[]): string {
  const entries = routes.flatMap((route) => (route.description ? [{ route, description: route.description }] : []))
  const chapters = Map.groupBy(entries, ({ description }) => description.chapter)
  const contents = [...chapters.keys()].map((name) => `[${name}](#${anchorOf(name)})`).join(' · ')
  const sections = [...chapters].map(([name, of]) => `## ${name}\n\n${of.map(section).join('\n')}`)
  return `${INTRODUCTION}\n${contents}\n\n${overview(entries)}\n${sections.join('\n')}`
}

const anchorOf = (name: string) =>
  name
    .toLowerCase()
    .replaceAll(/[^a-z0-9 -]/g, '')
    .replaceAll(' ', '-')

function overview(entries: readonly Entry[]): string {
  const rows = entries.map(({ route }) => {
    const served = servedBy(route)
    const of = (...kinds: readonly string[]) => (served.some((one) => kinds.includes(one)) ? 'yes' : 'no')
    if (route.who === 'anyone') return `| \`${nameOf(route)}\` | yes | yes | yes | yes |`
    const homeserver = served.includes('homeserver where allowed') ? LIMITED : of('everybody', 'homeserver')
    const own = served.includes('owner by self-service') ? SELF_SERVICE : of('everybody', 'owner')
    const ofTheirs = served.includes('homeserver by self-service') ? SELF_SERVICE : homeserver
    return `| \`${nameOf(route)}\` | ${of('everybody')} | ${own} | ${ofTheirs} | yes |`
  })
  const head =
    '| request | users, for what others uploaded | users, for their own uploads | administrators of the homeserver, for its media | administrators of the repository |\n|---|---|---|---|---|'
  return `## Who may do what\n\n${head}\n${rows.join('\n')}\n`
}

/** Below MMR's prefix, where it is below that. */
const shortly = (path: string) => path.replace(/^\/_matrix\/media\/unstable\//, '').replaceAll(/:(\w+)/g, '{$1}')
const nameOf = ({ methods, paths }: Route) => `${methods.join(', ')} ${shortly(paths[0] ?? '')}`

function section({ route, description }: Entry): string {
  const { summary, details, deprecated, path = {}, query = {}, body = {}, answer, linksToMore } = description
  const parts = [
    `### \`${nameOf(route)}\``,
    `${summary}${deprecated ? ' (deprecated)' : ''}. ${details ?? ''}`.trim(),
    otherPaths(route),
    `For ${callersOf(route)}.`,
    parameterTable([...rowsOf(path, 'path'), ...rowsOf(query, 'query'), ...rowsOf(body, 'body')]),
    `\`\`\`sh\n${exampleOf(route, description)}\n\`\`\``,
    `Answer${asList(answer)}:\n\n${answerTable(answer)}`,
    linksToMore ? 'Where there is more, a `Link` header with `rel="next"` has the address that goes on.' : '',
    refusals(route),
  ]
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`
}

function otherPaths({ paths }: Route): string {
  const others = paths.slice(1).filter((path) => !path.includes('/media/unstable/io.t2bot.media/'))
  return others.length === 0 ? '' : `Also at ${others.map((path) => `\`${shortly(path)}\``).join(', ')}.`
}

function rowsOf(shape: Shape, where: string): string[] {
  return Object.entries(shape).map(([name, parameter]: [string, Parameter<unknown>]) => {
    const { description, fallback, isList } = parameter
    const needed = fallback ? shown(fallback.value) : '*has to be given*'
    return `| \`${name}\` | ${where}${isList ? ', several times' : ''} | ${kindOf(parameter.schema)} | ${needed} | ${cell(description)} |`
  })
}

/** A default, where there is one to be said: not “none” in one of its forms. */
function shown(value: unknown): string {
  const isSaid = typeof value === 'number' || typeof value === 'boolean' || (typeof value === 'string' && value !== '')
  return isSaid ? `\`${value}\`` : ''
}
const cell = (text: string) => text.replaceAll('|', String.raw`\|`)

const parameterTable = (rows: readonly string[]) =>
  rows.length === 0
    ? ''
    : `| parameter | in | what | if not given | meaning |\n|---|---|---|---|---|\n${rows.join('\n')}`

function kindOf(schema: JsonSchema): string {
  const { type, enum: words, items, anyOf, minimum, maximum } = schema
  if (anyOf) return '`true` or `false`'
  if (Array.isArray(words)) return words.map((word) => `\`${String(word)}\``).join(', ')
  if (type === 'array') return kindOf(items as JsonSchema)
  if (type !== 'integer') return 'text'
  return maximum === Number.MAX_SAFE_INTEGER
    ? `number, from ${String(minimum)}`
    : `number, ${String(minimum)} to ${String(maximum)}`
}

/** A line for the shell, with the variables of the introduction. */
function exampleOf({ methods, paths }: Route, description: Description): string {
  const { query = {}, body, sends, answerType, example = {} } = description
  const path = (paths[0] ?? '').replaceAll(/:(\w+)/g, (_, name: string) => example[name] ?? `$${placeOf(name)}`)
  const wanted = Object.entries(query).flatMap(([name, { fallback }]: [string, Parameter<unknown>]) => {
    const value = example[name] ?? (fallback ? undefined : '1767225600000')
    return value === undefined ? [] : [`${name}=${value}`]
  })
  const method = methods[0] === 'GET' ? '' : ` -X ${methods[0]}`
  const sent = body
    ? ` \\\n  -d '${JSON.stringify(Object.fromEntries(Object.keys(body).map((name) => [name, example[name]])))}'`
    : ''
  const given = sends ? ` \\\n  --data-binary @"$FILE"` : sent
  const kept = answerType ? ' -o downloaded' : ''
  const address = `"$CELLARIUM${path}${wanted.length > 0 ? `?${wanted.join('&')}` : ''}"`
  return `curl -sS${method} -H "Authorization: Bearer $TOKEN"${kept}${given} \\\n  ${address}`
}

function placeOf(name: string): string {
  const place = PLACES[name]
  if (place === undefined) throw new Error(`src/http/manual-text.ts has no variable for the parameter ${name}`)
  return place
}

const asList = ({ type, additionalProperties }: JsonSchema) =>
  type === 'array' ? ', a list of' : additionalProperties ? ', by name' : ''

interface Member {
  readonly name: string
  readonly schema: JsonSchema
  readonly always: boolean
}

function answerTable(answer: JsonSchema): string {
  const rows = membersOf(answer, '').map(({ name, schema, always }) => {
    return `| \`${name}\` | ${typeName(schema)} | ${always ? 'yes' : ''} | ${cell(meaningOf(schema))} |`
  })
  if (rows.length > 0) return `| member | what | always there | meaning |\n|---|---|---|---|\n${rows.join('\n')}`
  return typeof answer['description'] === 'string' ? answer['description'] : 'an empty object.'
}

/** Of a list of texts: what one of them is. */
function meaningOf({ description, items }: JsonSchema): string {
  const of = description ?? (items as JsonSchema | undefined)?.['description']
  return typeof of === 'string' ? of : ''
}

const typeName = ({ type, enum: words }: JsonSchema) =>
  Array.isArray(words) ? words.map((word) => `\`${String(word)}\``).join(', ') : [type].flat().map(String).join(' or ')

/** Members of members too: `media[].size`, `{name}.bytes`. */
function membersOf(schema: JsonSchema, prefix: string): Member[] {
  const { items, additionalProperties, properties, required } = schema
  if (items) return membersOf(items as JsonSchema, prefix === '' ? '' : `${prefix}[]`)
  if (additionalProperties)
    return membersOf(additionalProperties as JsonSchema, prefix === '' ? '' : `${prefix}.{name}`)
  const needed = new Set(required as readonly string[] | undefined)
  return Object.entries((properties ?? {}) as Readonly<Record<string, JsonSchema>>).flatMap(([key, member]) => {
    const name = prefix === '' ? key : `${prefix}.${key}`
    return [{ name, schema: member, always: needed.has(key) }, ...membersOf(member, name)]
  })
}

function refusals(route: Route): string {
  const codes = ownRefusals(route)
  return codes.length === 0 ? '' : `Refuses, beside what all routes refuse: ${codes.join('; ')}.`
}
