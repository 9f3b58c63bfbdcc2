import type { Snapshot } from '../config/snapshot.ts'
import type { ByteBuckets } from '../coordination/byte-buckets.ts'
import { callerBlock } from '../lib/addresses.ts'
import { Refused } from '../lib/errors.ts'
import { type EventParts, fetchLimited } from '../lib/events.ts'
import type { Caller } from '../matrix/caller.ts'

export interface ByteLimitParts {
  readonly byteBuckets: ByteBuckets
  readonly config: () => Pick<Snapshot, 'main'>
  readonly events: Pick<EventParts, 'log' | 'metrics'>
}

/** Who is charged: a request, as a rule. */
export interface Payer {
  readonly caller: Caller
  /** The client's address, through trusted proxies. */
  readonly address: string
}

/** What is still to be charged when the bytes are there. */
export interface Charge {
  /** Counts bytes that came: all at the end, or more often. Does nothing where the length was told before. */
  charge(bytes: number): void
}

const NOTHING: Charge = { charge: () => {} }

/**
 * Charges a caller for a file that is fetched from another server for it (`rateLimit.buckets.downloads`, docs/decisions/026).
 * Before that server is asked, without `bytes`: whoever has used up its share is refused then. Once the length is known, with
 * it. Where it is never told, what came is charged afterwards.
 *
 * @throws {Refused} `limited`, with the time after which it will do
 */
export async function chargeFetch(
  { byteBuckets, config, events }: ByteLimitParts,
  payer: Payer,
  bytes: number | undefined,
): Promise<Charge> {
  const { enabled, buckets } = config().main.rateLimit
  const size = buckets.downloads
  const isUnlimited = !enabled || size.capacityBytes === 0 || size.drainBytesPerMinute === 0
  if (isUnlimited || isExempt(payer.caller)) return NOTHING
  const key = payerKey(payer)
  const retryAfterMs = await byteBuckets.take(key, bytes ?? 0, size)
  if (retryAfterMs > 0) {
    fetchLimited(events, { payer: key, bytes, retryAfterMs })
    const why = 'you have had too many bytes fetched from other servers; wait a while'
    throw new Refused('limited', why, { retryAfterMs })
  }
  if (bytes !== undefined) return NOTHING
  return { charge: (came) => void byteBuckets.add(key, came, size) }
}

/** Whether the limits on single callers are not for this one: bridges act for thousands, and their administrators are ours. */
export function isExempt(caller: Caller): boolean {
  return caller.kind === 'shared_secret' || (caller.kind === 'user' && caller.isAppservice === true)
}

/** Whom a limit counts as one: a user, a server, else an address (of IPv6 the /64, which one customer has for itself). */
function payerKey({ caller, address }: Payer): string {
  if (caller.kind === 'user') return `user ${caller.userId}`
  if (caller.kind === 'server') return `server ${caller.origin.toLowerCase()}`
  return `address ${callerBlock(address)}`
}
