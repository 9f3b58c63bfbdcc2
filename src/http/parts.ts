import type { Snapshot } from '../config/store.ts'
import type { Notifier } from '../coordination/notifier.ts'
import type { Datastores } from '../datastores/datastores.ts'
import type { Database } from '../db/connect.ts'
import type { EventParts } from '../lib/events.ts'
import type { Federation } from '../matrix/federation-door.ts'
import type { Homeservers } from '../matrix/homeserver.ts'
import type { OwnKeys } from '../matrix/keys/own-keys.ts'
import type { RemoteKeys } from '../matrix/keys/remote-keys.ts'
import type { DownloadParts } from '../media/download.ts'
import type { ShownFiles } from '../media/gates/shown-files.ts'
import type { Bringing } from '../media/mmr/bring.ts'
import type { ModerationParts } from '../media/moderation.ts'
import type { PendingParts } from '../media/pending.ts'
import type { Records } from '../media/records.ts'
import type { RemoteMedia } from '../media/remote.ts'
import type { UploadParts } from '../media/upload.ts'
import type { PreviewParts } from '../previews/get.ts'
import type { DescribeParts } from '../thumbnails/describe.ts'
import type { ThumbnailParts } from '../thumbnails/get.ts'
import type { Placeholders } from '../thumbnails/placeholders.ts'
import type { ThumbnailPool } from '../thumbnails/pool.ts'
import type { PreGeneration } from '../thumbnails/pre-generate.ts'
import type { RequestLimits } from './request-limits.ts'
import type { ServerLimits } from './server-limits.ts'

/** Everything that requests need. Handlers pass it on to use-cases, each of which says which few parts it takes. */
export interface HttpParts
  extends UploadParts, DownloadParts, PendingParts, ThumbnailParts, DescribeParts, ModerationParts, PreviewParts {
  readonly thumbnailPool: ThumbnailPool
  readonly datastores: Datastores
  readonly notifier: Notifier
  readonly records: Records
  /** What brings here what requests name and MMR has. Absent: nothing is taken over. */
  readonly bringing?: Pick<Bringing, 'bring'> | undefined
  readonly db: Database
  readonly homeservers: Homeservers
  readonly federation: Federation
  readonly ownKeys: OwnKeys
  readonly remoteKeys: RemoteKeys
  readonly remote: RemoteMedia
  readonly serverLimits: ServerLimits
  readonly requestLimits: RequestLimits
  readonly placeholders: Placeholders
  readonly preGeneration: PreGeneration
  readonly shownFiles: Pick<ShownFiles, 'find'>
  /** Makes a text that nobody else has. */
  readonly newToken: () => string
  /** What separates the parts of an answer: at least 128 random bits, as letters and digits. */
  readonly newBoundary: () => string
  readonly events: EventParts
  /** What is done again and again. */
  readonly jobs: readonly { readonly name: string; readonly everyMs: number }[]
  /** The configuration of this moment. */
  readonly config: () => Snapshot
}
