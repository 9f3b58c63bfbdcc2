import { matchesGlob } from '../lib/glob.ts'
import { EXACT_TO_MS } from './reads.ts'

/** What the configuration says of how long things are kept; 0 days = for ever. */
export interface Retention {
  /** Media of other servers, in days without use. */
  readonly remoteDays: number
  readonly thumbnailDays: number
  readonly previewDays: number
  /** Our users' uploads. */
  readonly local: readonly LocalRule[]
}

/** Which uploads go: those for which all of it holds. An empty list is no condition. */
export interface LocalRule {
  readonly olderThanDays: number
  readonly largerThanBytes: number
  readonly types: readonly string[]
  readonly users: readonly string[]
  readonly servers: readonly string[]
}

/** The options that it is made of. */
export interface RetentionOptions {
  readonly downloads: { readonly expireAfterDays: number }
  readonly thumbnails: { readonly expireAfterDays: number }
  readonly urlPreviews: { readonly expireAfterDays: number }
  readonly retention: { readonly local: readonly LocalRule[] }
}

export const retentionOf = ({ downloads, thumbnails, urlPreviews, retention }: RetentionOptions): Retention => ({
  remoteDays: downloads.expireAfterDays,
  thumbnailDays: thumbnails.expireAfterDays,
  previewDays: urlPreviews.expireAfterDays,
  local: retention.local,
})

const DAY_MS = 86_400_000

/**
 * The time before which something was last used that nobody has used for `days`, in ms since 1970; undefined for 0 days, for
 * nothing goes then. What is written down may be behind by as much as reads are not written down again.
 */
export function unusedSince(days: number, now: number): number | undefined {
  return days > 0 ? now - days * DAY_MS - EXACT_TO_MS : undefined
}

/** What rules look at. */
export interface RuledMedia {
  readonly origin: string
  readonly uploader: string | null
  readonly contentType: string
  readonly size: number
  readonly usedAt: number
}

/** A rule with the time that its age comes to. */
export interface TimedRule extends Omit<LocalRule, 'olderThanDays'> {
  readonly unusedSince: number
}

/** Whatever was not used since then. */
export const anyUnusedSince = (since: number): TimedRule => ({
  unusedSince: since,
  largerThanBytes: 0,
  types: [],
  users: [],
  servers: [],
})

export function timed(rules: readonly LocalRule[], now: number): readonly TimedRule[] {
  return rules.flatMap(({ olderThanDays, ...rule }) => {
    const since = unusedSince(olderThanDays, now)
    return since === undefined ? [] : [{ ...rule, unusedSince: since }]
  })
}

/** The first rule by which it may go; undefined: it stays. */
export const ruleFor = (rules: readonly TimedRule[], media: RuledMedia): TimedRule | undefined =>
  rules.find((rule) => holds(rule, media))

function holds(rule: TimedRule, { origin, uploader, contentType, size, usedAt }: RuledMedia): boolean {
  return (
    usedAt < rule.unusedSince &&
    (rule.largerThanBytes === 0 || size > rule.largerThanBytes) &&
    isAmong(lowerCase(rule.types), essence(contentType)) &&
    (rule.users.length === 0 || (uploader !== null && isAmong(rule.users, uploader))) &&
    isAmong(rule.servers, origin)
  )
}

const isAmong = (globs: readonly string[], text: string) =>
  globs.length === 0 || globs.some((glob) => matchesGlob(glob, text))

const lowerCase = (texts: readonly string[]) => texts.map((text) => text.toLowerCase())

/** A type without its parameters: `text/plain; charset=utf-8` is `text/plain`. */
const essence = (contentType: string) => contentType.split(';', 1)[0]?.trim().toLowerCase() ?? ''
