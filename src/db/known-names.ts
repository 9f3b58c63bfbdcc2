import type { MediaName } from './quarantine-changes.ts'
import { isAnyOf, type Queryable } from './query.ts'

/** What is here under a name, as far as an import has to know. */
export interface KnownName extends MediaName {
  readonly sha256: string
  readonly size: number
  readonly isQuarantined: boolean
  readonly isProtected: boolean
  /** Only authenticated callers may have it. */
  readonly isAuthenticated: boolean
  readonly accessedAt: number | null
  /** Its bytes are known to be gone, or wrong. */
  readonly isLost: boolean
  readonly datastore: string
  readonly location: string
}

/** What is here of these names, in any order: of some hundred, and of few servers. */
export async function findKnownNames(db: Queryable, names: readonly MediaName[]): Promise<KnownName[]> {
  const byOrigin = Map.groupBy(names, ({ origin }) => origin)
  const found = [...byOrigin].map(([origin, some]) => knownOf(db, origin, idsOf(some)))
  return (await Promise.all(found)).flat()
}

const idsOf = (names: readonly MediaName[]) => names.map(({ mediaId }) => mediaId)

async function knownOf(db: Queryable, origin: string, mediaIds: readonly string[]): Promise<KnownName[]> {
  const rows = await db
    .selectFrom('media')
    .innerJoin('objects', 'objects.sha256', 'media.sha256')
    .select([
      'media.media_id as mediaId',
      'media.sha256 as sha256',
      'objects.size as size',
      'objects.datastore as datastore',
      'objects.location as location',
      'media.quarantined_at as quarantinedAt',
      'media.protected_at as protectedAt',
      'media.authenticated_at as authenticatedAt',
      'media.accessed_at as accessedAt',
      'objects.lost_at as lostAt',
      'objects.damaged_at as damagedAt',
    ])
    .where('media.origin', '=', origin)
    .where(isAnyOf(db, 'media.media_id', mediaIds))
    .execute()
  return rows.map(({ quarantinedAt, protectedAt, authenticatedAt, lostAt, damagedAt, ...row }) => ({
    ...row,
    origin,
    isQuarantined: quarantinedAt !== null,
    isProtected: protectedAt !== null,
    isAuthenticated: authenticatedAt !== null,
    isLost: lostAt !== null || damagedAt !== null,
  }))
}

/**
 * Those of these names that must not come back: ours that were deleted here, whose ids name nothing else ever, and those of others
 * that were quarantined when they were deleted. In any order.
 */
export async function findDeletedNames(db: Queryable, names: readonly MediaName[]): Promise<MediaName[]> {
  const byOrigin = Map.groupBy(names, ({ origin }) => origin)
  const found = [...byOrigin].map(async ([origin, some]) => {
    const rows = await db
      .selectFrom('deleted_media')
      .select('media_id as mediaId')
      .where('origin', '=', origin)
      .where(isAnyOf(db, 'media_id', idsOf(some)))
      .where((is) => is.or([is('kind', '!=', 'remote'), is('quarantined_at', 'is not', null)]))
      .execute()
    return rows.map(({ mediaId }) => ({ origin, mediaId }))
  })
  return (await Promise.all(found)).flat()
}
