/**
 * The parameters of described routes: how each is read from the path or the query, and how the API's document tells of it. Own
 * and not the schema library of the configuration, which the server does not load (docs/decisions/006).
 */
import { Refused } from '../lib/errors.ts'
import { isMediaId, isServerName, isUserId, type Mxc, parseMxc } from '../matrix/ids.ts'

/** A JSON Schema, as OpenAPI 3.1 has them. */
export type JsonSchema = Readonly<Record<string, unknown>>

export interface Parameter<Value> {
  readonly description: string
  readonly schema: JsonSchema
  /** What it is where it is not given. Absent: it has to be given. */
  readonly fallback?: { readonly value: Value }
  /** May be given several times. */
  readonly isList?: true
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
}

/** A value that is none; the message goes on after the parameter's name. */
class Mistake extends Error {}

interface Kind<Value> {
  readonly schema: JsonSchema
  readonly read: (text: string) => Value
}

function parameter<Value, Fallback>(kind: Kind<Value>, about: About<Fallback>): Parameter<Value | Fallback> {
  const given = 'fallback' in about
  const isShown = given && about.fallback !== undefined && about.fallback !== null
  return {
    description: about.description,
    schema: isShown ? { ...kind.schema, default: about.fallback } : kind.schema,
    ...(given ? { fallback: { value: about.fallback as Fallback } } : {}),
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
  return parameter({ schema: { type: 'boolean' }, read: yesOrNo }, about)
}

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
export function text<Fallback = never>(about: About<Fallback>): Parameter<string | Fallback> {
  return checked({ maxLength: LONGEST_TEXT }, (value) => value.length <= LONGEST_TEXT, 'is too long', about)
}

const LONGEST_ADDRESS = 8000

/** The address of a page; what the address is like is not looked at. */
export const address = <Fallback = never>(about: About<Fallback>): Parameter<string | Fallback> =>
  checked(
    { format: 'uri', maxLength: LONGEST_ADDRESS },
    (value) => value.length <= LONGEST_ADDRESS,
    'is too long',
    about,
  )

/** Whether it is one that exists is not looked at. */
export const serverName = <Fallback = never>(about: About<Fallback>): Parameter<string | Fallback> =>
  checked({ maxLength: 255 }, isServerName, 'must be a server name such as example.org', about)

export const userId = <Fallback = never>(about: About<Fallback>): Parameter<string | Fallback> =>
  checked({ pattern: '^@' }, isUserId, 'must be a user id such as @alice:example.org', about)

export const mediaId = <Fallback = never>(about: About<Fallback>): Parameter<string | Fallback> =>
  checked({ pattern: '^[A-Za-z0-9_-]{1,255}$' }, isMediaId, 'must be a media id', about)

export const mxc = <Fallback = never>(about: About<Fallback>): Parameter<Mxc | Fallback> =>
  parameter({ schema: { type: 'string', pattern: '^mxc://' }, read: readMxc }, about)

function readMxc(value: string): Mxc {
  const found = parseMxc(value)
  if (!found) throw new Mistake('must be an MXC URI such as mxc://example.org/abc')
  return found
}

/** `!opaque:server`, or without the server as room version 12 has them. Source: specification, appendix "Room IDs". */
export const roomId = <Fallback = never>(about: About<Fallback>): Parameter<string | Fallback> =>
  checked({ pattern: '^!' }, (value) => /^!.{1,254}$/s.test(value), 'must be a room id, which begins with !', about)

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

function readOne(name: string, { fallback, read }: Parameter<unknown>, given: readonly string[]): unknown {
  const texts = given.filter((one) => one !== '')
  if (texts.length === 0) {
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
