import { CallerGone, messagesOf, Refused, Unavailable } from '../lib/errors.ts'

/** Why a page has no preview: what is kept of it, and told to administrators. */
export interface PreviewFailure {
  /** One of few words. */
  readonly why: string
  /** What happened. Not for callers: it would tell them what there is in the network that this server is in. */
  readonly detail: string
}

const MINUTE_MS = 60_000
const LONGEST_DETAIL = 500

/** How long a failure is answered without another try, in ms, where it is not five minutes: what passes soon is tried again soon. */
const KEPT_MS: Readonly<Record<string, number>> = {
  unreachable: MINUTE_MS,
  timed_out: MINUTE_MS,
  left_alone: MINUTE_MS,
  network_disallowed: MINUTE_MS,
  url_disallowed: MINUTE_MS,
}

export const keptForMs = ({ why }: PreviewFailure): number => KEPT_MS[why] ?? 5 * MINUTE_MS

/**
 * What is to be kept of an error, so that not everybody who scrolls by has the same page fetched in vain; undefined where it says
 * nothing of the page: too many wait, the disk is full, everybody has left, a defect.
 */
export function failureOf(error: unknown): PreviewFailure | undefined {
  if (!(error instanceof Refused) || error.reason !== 'not_found') return undefined
  if (error.cause instanceof CallerGone || error.cause instanceof Unavailable) return undefined
  const why = 'why' in error && typeof error.why === 'string' ? error.why : 'not_found'
  return { why, detail: messagesOf(error.cause).join(': ').slice(0, LONGEST_DETAIL) }
}

/** The same to everybody, whatever the reason is. */
export const refusal = (): Refused => new Refused('not_found', 'There is no preview of this address')
