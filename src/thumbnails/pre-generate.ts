import type { MediaRecord } from '../db/media.ts'
import { CallerGone, Refused } from '../lib/errors.ts'
import { preGenerationDropped } from '../lib/background-events.ts'
import { WorkQueue } from '../lib/work-queue.ts'
import type { Context } from '../media/context.ts'
import { getThumbnail, type ThumbnailParts } from './get.ts'
import type { Size, ThumbnailSize } from './sizes.ts'

const WAITING_AT_MOST = 50

/**
 * Makes the configured thumbnails of what was just uploaded, before anybody asks (`thumbnails.preGenerate`): one at a time,
 * and only while nobody waits for a thumbnail. What is dropped is made when somebody asks, as ever. Disposing it ends what is
 * under way.
 */
export class PreGeneration implements AsyncDisposable {
  readonly #queue = new WorkQueue({
    atATime: 1,
    waiting: WAITING_AT_MOST,
    retryMs: 0,
    what: 'uploads wait for their thumbnails',
  })
  readonly #closing = new AbortController()

  /** Returns at once, and never throws: nobody waits for this. */
  add(parts: ThumbnailParts, ctx: Context, media: MediaRecord): void {
    const { preGenerate, types } = ctx.homeserver.thumbnails
    const [type = ''] = media.contentType.split(';', 1)
    // What the sender calls something else is left alone: fetching each file to look at it would cost more than it saves.
    if (!preGenerate || !types.includes(type.trim().toLowerCase()) || this.#closing.signal.aborted) return
    const { homeserver, caller, address, log } = ctx
    const own = { homeserver, caller, address, log, signal: this.#closing.signal }
    this.#queue
      .run(own.signal, () => makeAll(parts, own, media))
      .catch((error: unknown) => tell(parts, own, media, error))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new CallerGone('the server is stopping'))
    await this.#queue.idle()
  }
}

async function makeAll(parts: ThumbnailParts, ctx: Context, media: MediaRecord): Promise<void> {
  try {
    for (const size of sizesToMake(ctx.homeserver.thumbnails.sizes)) {
      if (parts.thumbnailPool.waiting > 0) return preGenerationDropped(parts.events)
      await getThumbnail(parts, ctx, media, { ...size, animated: false })
    }
  } catch (error) {
    tell(parts, ctx, media, error)
  }
}

/** Clients show pictures in the timeline scaled, and avatars, which are square, cropped. */
export function sizesToMake(sizes: readonly Size[]): readonly ThumbnailSize[] {
  return sizes.flatMap(({ width, height }) => {
    const scaled = { width, height, method: 'scale' } as const
    return width === height ? [scaled, { ...scaled, method: 'crop' }] : [scaled]
  })
}

function tell({ events }: Pick<ThumbnailParts, 'events'>, ctx: Context, media: MediaRecord, error: unknown): void {
  // It is no picture, or one too large, or was deleted again: whoever asks for a thumbnail hears so.
  const isExpected = error instanceof Refused && error.reason !== 'limited'
  if (isExpected || error instanceof CallerGone || ctx.signal.aborted) return
  if (error instanceof Refused) return preGenerationDropped(events)
  ctx.log.warn({ err: error, origin: media.origin, mediaId: media.mediaId }, 'could not make thumbnails of an upload')
}
