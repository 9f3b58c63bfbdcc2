import { type Excess, excessOf, type UploadLimits, type UploadWindow } from '../db/quota.ts'
import type { Database } from '../db/connect.ts'
import type { Clock } from '../lib/clock.ts'
import { Refused } from '../lib/errors.ts'
import { type EventParts, uploadOverLimit } from '../lib/events.ts'
import { matchesGlob } from '../lib/glob.ts'
import { userIdOf } from '../matrix/caller.ts'
import type { Context } from './context.ts'

/** What a user may store. */
export interface Quota {
  /** Bytes kept; below 0: no limit; 0: nothing may be uploaded (MMR behaviour). */
  readonly maxBytes: number
  /** 0 and below: no limit. */
  readonly maxFiles: number
  /** Reserved media ids without content; 0 and below: no limit. Undefined: no rule says. */
  readonly maxPending?: number
  readonly windows: readonly UploadWindow[]
  /** A page that explains the limits; empty: none. */
  readonly infoUri: string
}

interface QuotaOptions {
  readonly quotas: {
    readonly enabled: boolean
    readonly users: readonly (Quota & { readonly glob: string })[]
  }
}

const NONE: Quota = { maxBytes: -1, maxFiles: 0, windows: [], infoUri: '' }

/** The first of `uploads.quotas.users` whose glob matches the user; only `*` is special (MMR behaviour). */
export function quotaFor({ quotas }: QuotaOptions, userId: string): Quota {
  if (!quotas.enabled) return NONE
  return quotas.users.find(({ glob }) => matchesGlob(glob, userId)) ?? NONE
}

/**
 * The largest file that the user could ever upload, in bytes: of `maxBytes` (0: no limit) and the user's limits the smallest.
 * Undefined: no limit.
 */
export function largestUpload(maxBytes: number, { maxBytes: kept, windows }: Quota): number | undefined {
  const limits = [
    ...(maxBytes > 0 ? [maxBytes] : []),
    ...(kept >= 0 ? [kept] : []),
    ...windows.map((window) => window.maxBytes),
  ]
  return limits.length > 0 ? Math.min(...limits) : undefined
}

/** What has to be counted for the caller's uploads; undefined: nothing. */
export function limitsFor({ homeserver, caller }: Pick<Context, 'homeserver' | 'caller'>): UploadLimits | undefined {
  const { uploads, name: origin } = homeserver
  if (!uploads.quotas.enabled) return undefined
  const uploader = userIdOf(caller) ?? ''
  const { maxBytes, maxFiles, windows } = quotaFor(uploads, uploader)
  const user = maxBytes >= 0 || maxFiles > 0 || windows.length > 0 ? { maxBytes, maxFiles, windows } : null
  const { maxBytes: totalBytes, maxFiles: totalFiles } = uploads.quotas.total
  const hasTotal = totalBytes > 0 || totalFiles > 0
  const total = hasTotal ? { maxBytes: totalBytes > 0 ? totalBytes : -1, maxFiles: totalFiles } : null
  return user || total ? { origin, uploader, user, total } : undefined
}

export interface QuotaParts {
  readonly db: Pick<Database, 'read'>
  readonly clock: Clock
  readonly events: Pick<EventParts, 'metrics'>
}

/**
 * Refuses what is over a limit already, before anything is received or stored. It is decided when the upload is committed: until
 * then others may use up what is left.
 *
 * @throws {Refused} `over_quota`, `over_user_limit`
 */
export async function refuseOverQuota(parts: QuotaParts, ctx: Context, bytes: number): Promise<void> {
  const limits = limitsFor(ctx)
  if (!limits) return
  const excess = await excessOf(parts.db.read, limits, { bytes, at: parts.clock.now() })
  if (excess) throw overQuota(parts, ctx, excess)
}

/** The refusal of an upload that is over a limit, told to log and metrics. Source: specification, "M_USER_LIMIT_EXCEEDED". */
export function overQuota({ events }: Pick<QuotaParts, 'events'>, ctx: Context, excess: Excess): Refused {
  const userId = userIdOf(ctx.caller) ?? ''
  uploadOverLimit({ ...events, log: ctx.log }, { host: ctx.homeserver.name, userId, ...excess })
  const { infoUri } = quotaFor(ctx.homeserver.uploads, userId)
  const why = messageOf(excess)
  if (excess.of === 'total' || infoUri === '') return new Refused('over_quota', why)
  return new Refused('over_user_limit', why, { fields: { info_uri: infoUri } })
}

function messageOf(excess: Excess): string {
  const { of, what, limit } = excess
  if (of === 'total') return 'This homeserver has no room for more media'
  if (what === 'window') return `You may upload ${limit} bytes in ${excess.seconds} seconds; wait a while`
  if (what === 'bytes' && limit === 0) return 'You may not upload media here'
  return `You may keep ${limit} ${what} of media here`
}
