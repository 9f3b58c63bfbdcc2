import type { HomeserverConfig } from '../config/schema.ts'
import type { PreviewRecord } from '../db/previews.ts'
import { SharedWork } from '../lib/shared-work.ts'
import { PreviewDoors, type PreviewDoorsParts } from './doors.ts'
import { KeptPreviews, type KeptPreviewsParts } from './kept.ts'
import { OEmbedProviders } from './oembed-providers.ts'
import { HostTurns, previewQueue } from './turns.ts'

export type PreviewsNeed = PreviewDoorsParts & KeptPreviewsParts

/** Opens what belongs to previews alone: the ways into the web, whose turn it is, and what is kept at hand. */
export function openPreviews(need: PreviewsNeed, { numWorkers }: { readonly numWorkers: number }) {
  const { events, clock } = need
  return {
    previewDoors: new PreviewDoors(need),
    hostTurns: new HostTurns(clock),
    previewQueue: previewQueue(numWorkers),
    previewsUnderWay: new SharedWork<PreviewRecord>(),
    keptPreviews: new KeptPreviews(need),
    oEmbedProviders: new OEmbedProviders(events.log),
  }
}

/** Follows changed options. */
export function configurePreviews(
  { previewDoors, keptPreviews }: Pick<ReturnType<typeof openPreviews>, 'previewDoors' | 'keptPreviews'>,
  homeservers: readonly HomeserverConfig[],
): void {
  previewDoors.configure(homeservers.map(({ urlPreviews }) => urlPreviews))
  keptPreviews.forget()
}
