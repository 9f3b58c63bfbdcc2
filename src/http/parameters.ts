/**
 * The parameters of described routes: how each is read from the path or the query, and how the API's document tells of it. Own
 * and not the schema library of the configuration, which the server does not load (docs/decisions/006).
 */
import { Refused } from '../lib/errors.ts'
import { isMediaId, isServerName, isUserId, type Mxc, parseMxc, SERVER_NAME_PATTERN } from '../matrix/ids.ts'

/** A JSON Schema, as OpenAPI 3.1 has them. */
export type JsonSchema = Readonly<Record<string, unknown>>

export interface Parameter<Value> {
  readonly description: string
  readonly schema: JsonSchema
  /** What it is where it is not given. Absent: it has to be given. */
  readonly fallback?: { readonly value: Value }
  /** May be given several times. */
  readonly isList?: true
  /** Given empty it is a mistake; all others then count as not given, as in MMR. */
  readonly refusesEmpty?: true
  /** Reads what is given. Throws `Mistake` with what would be right. */
  readonly read: (texts: readonly string[]) => Value
}

// oxlint-disable-next-line typescript/no-explicit-any -- parameters of any kind, each with its own type
export type Shape = Readonly<Record<string, Parameter<any>>>

/** What is read of a shape. */
export type Values<Of extends Shape> = {
  readonly [Name in keyof Of]: Of[Name] extends Parameter<infer Value> ? Value : never
}

interface About<Fallback> {
  readonly description: string
  /** What it is where it is not given; without it, it has to be given. */
  readonly fallback?: Fallback
  readonly refusesEmpty?: true
}

/** A value that is none; the message goes on after the parameter's name. */
class Mistake extends Error {}

interface Kind<Value> {
  readonly schema: JsonSchema
  readonly read: (text: string) => Value
}

function parameter<Value, Fallback>(kind: Kind<Value>, about: About<Fallback>): Parameter<Value | Fallback> {
  const given = 'fallback' in about
  // No default that the schema itself would refuse.
  const isShown = given && about.fallback !== undefined && about.fallback !== null && about.fallback !== ''
  return {
    description: about.description,
    schema: isShown ? { ...kind.schema, default: about.fallback } : kind.schema,
    ...(given ? { fallback: { value: about.fallback as Fallback } } : {}),
    ...(about.refusesEmpty ? { refusesEmpty: true } : {}),
    read: ([text = '']) => kind.read(text),
  }
}

/** A whole number from `min` (0 if not given) to `max`. */
export function whole<Fallback = never>({
  min = 0,
  max = Number.MAX_SAFE_INTEGER,
  ...about
}: About<Fallback> & { readonly min?: number; readonly max?: number }): Parameter<number | Fallback> {
  const read = (text: string) => {
    const value = Number(text)
    if (!/^-?\d{1,16}$/.test(text) || !Number.isSafeInteger(value)) throw new Mistake('must be a whole number')
    if (value < min) throw new Mistake(`must not be less than ${min}`)
    if (value > max) throw new Mistake(`must not be more than ${max}`)
    return value
  }
  return parameter({ schema: { type: 'integer', format: 'int64', minimum: min, maximum: max }, read }, about)
}

/** A moment, in milliseconds since 1970. */
export const moment = <Fallback = never>(about: About<Fallback>): Parameter<number | Fallback> => whole(about)

/** A yes or no, in the spellings that Go accepts, as in MMR. */
export function flag<Fallback = never>(about: About<Fallback>): Parameter<boolean | Fallback> {
  return parameter({ schema: { anyOf: [{ type: 'boolean' }, { enum: SPELLINGS }] }, read: yesOrNo }, about)
}

const SPELLINGS = ['1', '0', 't', 'f', 'T', 'F', 'TRUE', 'FALSE', 'True', 'False'] as const

function yesOrNo(text: string): boolean {
  if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true
  if (/^(0|f|F|FALSE|false|False)$/.test(text)) return false
  throw new Mistake('must be true or false')
}

/** One of some words. */
export function oneOf<const Word extends string, Fallback = never>(
  words: readonly Word[],
  about: About<Fallback>,
): Parameter<Word | Fallback> {
  const read = (text: string) => {
    const word = words.find((one) => one === text)
    if (word === undefined) throw new Mistake(`must be one of ${words.join(', ')}`)
    return word
  }
  return parameter<Word, Fallback>({ schema: { type: 'string', enum: words }, read }, about)
}

const LONGEST_TEXT = 1024

/** Any text. */
export const text = <Fallback = never>(about: About<Fallback>): Parameter<string | Fallback> =>
  anyText({ maxLength: LONGEST_TEXT }, about)

const LONGEST_ADDRESS = 8000

/** The address of a page; what the address is like is not looked at. */
export const address = <Fallback = never>(about: About<Fallback>): Parameter<string | Fallback> =>
  anyText({ format: 'uri', maxLength: LONGEST_ADDRESS }, about)

/** PostgreSQL has no NUL in its texts. */
function anyText<Fallback>(
  schema: { readonly format?: string; readonly maxLength: number },
  about: About<Fallback>,
): Parameter<string | Fallback> {
  const { maxLength } = schema
  const read = (value: string) => {
    if (value.length > maxLength) throw new Mistake(`must not have more than ${maxLength} characters`)
    if (value.includes('\0')) throw new Mistake('must not have the character NUL in it')
    return value
  }
  const least = about.refusesEmpty ? { minLength: 1 } : {}
  return parameter({ schema: { type: 'string', ...schema, ...least, pattern: String.raw`^[^\u0000]*$` }, read }, about)
}

/** Whether it is one that exists is not looked at. */
export const serverName = <Fallback = never>(about: About<Fallback>): Parameter<string | Fallback> =>
  checked(
    { pattern: `^${SERVER_NAME_PATTERN}$`, maxLength: 255, examples: ['example.org'] },
    isServerName,
    'must be a server name such as example.org',
    about,
  )

export const userId = <Fallback = never>(about: About<Fallback>): Parameter<string | Fallback> =>
  checked(
    { pattern: String.raw`^@[^:\u0000]*:${SERVER_NAME_PATTERN}$`, maxLength: 255, examples: ['@alice:example.org'] },
    isUserId,
    'must be a user id such as @alice:example.org',
    about,
  )

export const mediaId = <Fallback = never>(about: About<Fallback>): Parameter<string | Fallback> =>
  checked({ pattern: '^[A-Za-z0-9_-]{1,255}$', examples: ['abc'] }, isMediaId, 'must be a media id', about)

export const mxc = <Fallback = never>(about: About<Fallback>): Parameter<Mxc | Fallback> =>
  parameter(
    { schema: { type: 'string', pattern: MXC_PATTERN, examples: ['mxc://example.org/abc'] }, read: readMxc },
    about,
  )

const MXC_PATTERN = String.raw`^mxc://${SERVER_NAME_PATTERN}/[A-Za-z0-9_-]{1,255}(\?.*)?$`

function readMxc(value: string): Mxc {
  const found = parseMxc(value)
  if (!found) throw new Mistake('must be an MXC URI such as mxc://example.org/abc')
  return found
}

/** `!opaque:server`, or without the server as room version 12 has them. Source: specification, appendix "Room IDs". */
export const roomId = <Fallback = never>(about: About<Fallback>): Parameter<string | Fallback> =>
  checked(
    { pattern: String.raw`^![^\u0000]{1,254}$`, examples: ['!room:example.org'] },
    isRoomId,
    'must be a room id, which begins with !',
    about,
  )

const isRoomId = (value: string) => /^!.{1,254}$/s.test(value) && !value.includes('\0')

function checked<Fallback>(
  schema: JsonSchema,
  isRight: (text: string) => boolean,
  wrong: string,
  about: About<Fallback>,
): Parameter<string | Fallback> {
  const read = (value: string) => {
    if (!isRight(value)) throw new Mistake(wrong)
    return value
  }
  return parameter({ schema: { type: 'string', ...schema }, read }, about)
}

/** Any number of them, from none to `most`: the parameter is given several times. */
export function each<Value>(one: Parameter<Value>, most = 1000): Parameter<readonly Value[]> {
  const read = (texts: readonly string[]) => {
    if (texts.length > most) throw new Mistake(`must not be given more than ${most} times`)
    return texts.map((value) => one.read([value]))
  }
  return {
    description: one.description,
    schema: { type: 'array', items: one.schema, maxItems: most },
    fallback: { value: [] },
    isList: true,
    read,
  }
}

/**
 * Reads the parameters of a shape; what is given empty counts as not given.
 *
 * @throws {Refused} `missing_parameter` or `bad_parameter`, with the parameter's name
 */
export function readParameters<Of extends Shape>(shape: Of, given: (name: string) => readonly string[]): Values<Of> {
  const read = Object.entries(shape).map(([name, parameter]) => [name, readOne(name, parameter, given(name))])
  return Object.fromEntries(read) as Values<Of>
}

/**
 * The same of a JSON object. Its members are texts.
 *
 * @throws {Refused} `missing_parameter` or `bad_parameter`, with the member's name
 */
export function readMembers<Of extends Shape>(shape: Of, body: Readonly<Record<string, unknown>>): Values<Of> {
  return readParameters(shape, (name) => {
    const value = body[name]
    if (value === undefined) return []
    if (typeof value !== 'string') throw new Refused('bad_parameter', `${name} must be a text`)
    return [value]
  })
}

function readOne(name: string, parameter: Parameter<unknown>, given: readonly string[]): unknown {
  const { fallback, read, refusesEmpty } = parameter
  const texts = given.filter((one) => one !== '')
  if (texts.length === 0) {
    if (refusesEmpty && given.length > 0) throw new Refused('bad_parameter', `${name} must not be empty`)
    if (fallback) return fallback.value
    throw new Refused('missing_parameter', `Missing ${name} argument`)
  }
  try {
    return read(texts)
  } catch (error) {
    if (!(error instanceof Mistake)) throw error
    throw new Refused('bad_parameter', `${name} ${error.message}`)
  }
}
