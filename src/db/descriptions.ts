import { lockObject } from './objects.ts'
import { compiled, type Queryable, unit } from './query.ts'

/** What decoding found out about some content. */
export interface DescriptionRecord {
  /** What its bytes are, whatever their sender called them. */
  readonly contentType: string
  /** Of its picture, upright, in pixels. */
  readonly width: number
  readonly height: number
  /** Whether its picture moves. */
  readonly animated: boolean
  /** Null: it has no duration, or none that is known. */
  readonly durationMs: number | null
  /** Null: nobody has asked for one. */
  readonly blurhash: string | null
  /** Null: it is no recording. */
  readonly sound: DescribedSound | null
}

/** What a recording sounds like, in short. */
export interface DescribedSound {
  readonly channels: number
  /** Of each channel. */
  readonly samples: number
  /** Some of them, of the left channel and the right one, each from -1 to 1. */
  readonly keySamples: readonly (readonly [left: number, right: number])[]
}

/** What is known of some content, if somebody asked before. */
export async function findDescription(db: Queryable, sha256: string): Promise<DescriptionRecord | undefined> {
  const [row] = await descriptionOf(db, { sha256 })
  if (!row) return undefined
  const sound = row.sound === null ? null : (JSON.parse(row.sound) as DescribedSound)
  return { ...row, animated: row.animated === 1, sound }
}

const descriptionOf = compiled((db, { sha256 }: { sha256: string }) =>
  db
    .selectFrom('descriptions')
    .select(['content_type as contentType', 'width', 'height', 'animated', 'duration_ms as durationMs'])
    .select(['blurhash', 'sound'])
    .where('sha256', '=', sha256),
)

/** Writes down what was found out about some content, in place of what was known before; nothing if the content is gone. */
export const commitDescription = unit(
  'commitDescription',
  async (tx, { sha256, ...found }: DescriptionRecord & { readonly sha256: string }): Promise<void> => {
    const [object] = await lockObject(tx, { sha256 })
    if (!object) return
    const row = {
      content_type: found.contentType,
      width: found.width,
      height: found.height,
      animated: found.animated ? 1 : 0,
      duration_ms: found.durationMs,
      blurhash: found.blurhash,
      sound: found.sound && JSON.stringify(found.sound),
    }
    await tx
      .insertInto('descriptions')
      .values({ sha256, ...row })
      .onConflict((conflict) => conflict.column('sha256').doUpdateSet(row))
      .execute()
  },
)
