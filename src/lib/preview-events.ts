import type { LogAndMetrics } from './events.ts'
import { redactUrl } from './redact.ts'

/** A page could not be previewed; `why` is one of few words. */
export function previewFailed(
  { log, metrics }: LogAndMetrics,
  failed: { readonly url: string; readonly why: string; readonly detail: string },
): void {
  metrics.previews.of('none', failed.why).add()
  log.info({ ...failed, url: redactUrl(failed.url) }, 'there is no preview of an address')
}

/** The picture of a preview is quarantined here, and was left out. */
export function previewPictureBlocked({ log }: Pick<LogAndMetrics, 'log'>, { url }: { readonly url: string }): void {
  log.info(
    { url: redactUrl(url) },
    'a preview goes without its picture: its content is quarantined, or a gate does not let it through',
  )
}

/** Previews were removed, with so many pictures; `by` is undefined for the job that removes old ones. */
export function previewsPurged(
  { log, metrics }: LogAndMetrics,
  purged: { readonly removed: number; readonly pictures: number; readonly by: string | undefined },
): void {
  metrics.previewsPurged.of().add(purged.removed)
  log.info(purged, 'previews removed')
}
