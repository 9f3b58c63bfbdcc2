import { sql } from '#kysely'
import { unit } from './query.ts'

/**
 * Forgets names of other servers' media that were deleted while they were quarantined, and released since: at most `limit`, and gives
 * how many. They may be fetched again. Ids of ours stay, whatever became of them: they never name anything else.
 */
export const sweepTombstones = unit('sweepTombstones', async (tx, { limit }: { limit: number }): Promise<number> => {
  const rows = await tx
    .selectFrom('deleted_media')
    .select(['origin', 'media_id'])
    .where(sql<boolean>`quarantined_at is null and kind = 'remote'`)
    .limit(limit)
    .execute()
  for (const { origin, media_id: mediaId } of rows) {
    await tx
      .deleteFrom('deleted_media')
      .where('origin', '=', origin)
      .where('media_id', '=', mediaId)
      // Quarantined again meanwhile: then it stays.
      .where('quarantined_at', 'is', null)
      .execute()
  }
  return rows.length
})
