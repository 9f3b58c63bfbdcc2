/**
 * The building stones of the schema: what one option accepts, and what is to be known about it. Values arrive as deployments
 * write them (MDAD and Kubernetes templates quote numbers and leave words like `yes` bare), so each stone takes the forms
 * that can mean only one thing.
 */
import { z } from 'zod'

export interface OptionNotes {
  /** For an administrator: what it does, its unit, and what 0 or nothing means. */
  readonly description: string
  /** Whether a change is followed while running or only after a restart. */
  readonly reload: 'live' | 'restart'
  /** Whether a per-domain file may set it, or only the main configuration. */
  readonly scope: 'main' | 'any'
  /** Never shown by `config print`, nor repeated in an error. */
  readonly secret?: true
  /** Why it does nothing, though it is accepted. */
  readonly noEffect?: string
  /** What the sample shows where the default would teach nothing. */
  readonly example?: unknown
  /** For open maps: the keys that are known, with their meaning. */
  readonly known?: Readonly<Record<string, KnownKey>>
}

export interface KnownKey {
  readonly description: string
  readonly default?: string
  readonly secret?: true
}

/** Where and when: the four combinations that occur, to be spread into an option's notes. */
export const anywhere = { reload: 'live', scope: 'any' } as const
export const mainOnly = { reload: 'live', scope: 'main' } as const
export const atStart = { reload: 'restart', scope: 'main' } as const

/** An option with its default and its notes. */
export function option<T extends z.ZodType>(
  schema: T,
  value: z.core.util.NoUndefined<z.output<T>>,
  notes: OptionNotes,
): z.ZodDefault<T> {
  return schema.default(value).meta({ ...notes })
}

/** An option that has to be there, such as a homeserver's name. */
export function needed<T extends z.ZodType>(schema: T, notes: OptionNotes): T {
  return schema.meta({ ...notes })
}

/** A map of options, there with all its defaults when the file leaves it out. */
export function section<T extends z.ZodRawShape>(description: string, shape: T): z.ZodPrefault<z.ZodObject<T>>
export function section(description: string, shape: z.ZodRawShape): z.ZodType {
  return z.object(shape).prefault({}).meta({ description })
}

/** Text; a bare number or boolean is taken as written. */
export function text() {
  return z.preprocess((value) => (isBare(value) ? String(value) : value), z.string())
}

/** Text of a certain form; `problem` completes the sentence "must be …". */
export function textThat(holds: (value: string) => boolean, problem: string) {
  return z.preprocess((value) => (isBare(value) ? String(value) : value), z.string().refine(holds, problem))
}

/** Reports a problem that concerns several options, as a complete sentence. */
export function complain(context: z.RefinementCtx, path: (string | number)[], sentence: string): void {
  context.addIssue({ code: 'custom', path, message: sentence, params: { complete: true } })
}

/** true or false; also the words that YAML 1.1 and the parser of MMR take for them, quoted or not. */
export function flag() {
  return z.preprocess((value) => (typeof value === 'string' ? toBoolean(value) : value), z.boolean())
}

/** A whole number, quoted or not; 1e6, 1_000 and 0x10 are numbers too. */
export function whole(limits: { readonly min?: number; readonly max?: number } = {}) {
  const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = limits
  return z.preprocess(toNumber, z.int().min(min).max(max))
}

/** A whole number for which MMR takes everything below 0 as 0 ("off" or "no limit"), and so do we. */
export function wholeFromZero() {
  return z.preprocess((value) => {
    const number = toNumber(value)
    return typeof number === 'number' ? Math.max(0, number) : number
  }, z.int())
}

/** A whole number for which 0 or below means the usual value (MMR's thresholds for giving up on a server). */
export function wholeOr(usual: number) {
  return z.preprocess((value) => {
    const number = toNumber(value)
    return typeof number === 'number' && number <= 0 ? usual : number
  }, z.int())
}

/** A number with decimals. */
export function decimal(limits: { readonly min?: number; readonly max?: number } = {}) {
  const { min = -Number.MAX_VALUE, max = Number.MAX_VALUE } = limits
  return z.preprocess(toNumber, z.number().min(min).max(max))
}

/** One of a few words. */
export function choice<const T extends readonly [string, ...string[]]>(words: T) {
  return z.preprocess((value) => (typeof value === 'string' ? value.trim().toLowerCase() : value), z.enum(words))
}

function isBare(value: unknown): value is number | boolean {
  return typeof value === 'number' || typeof value === 'boolean'
}

function toBoolean(value: string): unknown {
  const word = value.trim().toLowerCase()
  if (['true', 'yes', 'on', 'y'].includes(word)) return true
  return ['false', 'no', 'off', 'n'].includes(word) ? false : value
}

function toNumber(value: unknown): unknown {
  if (typeof value !== 'string' || value.trim() === '') return value
  const number = Number(value.replaceAll('_', ''))
  return Number.isFinite(number) ? number : value
}
