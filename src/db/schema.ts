/** The tables, as `migrations/` makes them. Times are milliseconds since 1970, sizes bytes, hashes lower-case hex SHA-256. */

/** Why a media row exists: a user's upload, a copy of another server's file, or a picture fetched for a URL preview. */
export type MediaKind = 'upload' | 'remote' | 'preview'

export interface ObjectsTable {
  sha256: string
  size: number
  datastore: string
  location: string
  created_at: number
  /** Since when its bytes are known to be gone; null: they are taken to be there. */
  lost_at: number | null
  /** Since when its bytes are known to be others than its hash says. */
  damaged_at: number | null
}

export interface MediaTable {
  origin: string
  media_id: string
  sha256: string
  kind: MediaKind
  content_type: string
  upload_name: string | null
  uploader: string | null
  created_at: number
  accessed_at: number | null
  /** Since when it is served to authenticated callers only (MSC3916's freeze); null: to everybody. */
  authenticated_at: number | null
  quarantined_at: number | null
  /** A user id, or what the program calls itself; null: nobody, or it was not noted. */
  quarantined_by: string | null
  /** Since when it is kept from quarantine, purges and expiry; null: it is not. */
  protected_at: number | null
  protected_by: string | null
}

export interface ThumbnailsTable {
  source_sha256: string
  width: number
  height: number
  method: string
  /** `still`; later `animated` and other encodings. */
  variant: string
  sha256: string
  content_type: string
  created_at: number
  accessed_at: number | null
  /** For whose media it was first made; null: it counts for no server. */
  made_for: string | null
}

export interface DeletedMediaTable {
  origin: string
  media_id: string
  sha256: string
  kind: MediaKind
  deleted_at: number
  /** Its content was quarantined when it was deleted, and is blocked for as long as this stands here. */
  quarantined_at: number | null
  /** Null: deleted before this was noted. */
  size: number | null
}

export interface PendingMediaTable {
  origin: string
  media_id: string
  uploader: string
  created_at: number
  expires_at: number
}

/** An upload that counts in sliding windows. */
export interface RecentUploadsTable {
  uploader: string
  uploaded_at: number
  origin: string
  media_id: string
  bytes: number
  /** When it counts in none any more. */
  kept_until: number
}

export interface UsageTotalsTable {
  /**
   * `user:@a:example.org`, `server:example.org`, `thumbnails:example.org`, `datastore:main`, or `remote`: the media of all other
   * servers.
   */
  subject: string
  bytes: number
  files: number
}

export interface UsageChangesTable {
  subject: string
  change_id: string
  bytes: number
  files: number
}

/** What each user uploaded to each server and is still there. */
export interface UploaderDaysTable {
  server: string
  /** Whole days since 1970 (UTC); -1: all of them together. */
  day: number
  uploader: string
  bytes: number
  files: number
}

/** Work that one instance at a time does. */
export interface LeasesTable {
  name: string
  token: string
  /** By the database's clock. */
  expires_at: number
}

/** When scheduled jobs last ended. */
export interface JobsTable {
  name: string
  /** By the database's clock; of one that has never run: so long ago that its first run is due when it is to be. */
  ended_at: number
  /** What went wrong; empty: nothing. */
  error: string
  /** When it last ended well; null: never yet. */
  succeeded_at: number | null
  duration_ms: number | null
  /** JSON: what came of it. */
  report: string | null
  /** When it goes on that stopped before all was done, in ms after its end. */
  again_in_ms: number | null
}

export interface TasksTable {
  id: number
  name: string
  /** JSON. */
  params: string
  /** JSON: how far it is, and whatever is needed to go on from there. */
  progress: string
  started_at: number
  ended_at: number | null
  cancelled_at: number | null
  /** What went wrong; empty: nothing. */
  error: string
  /** The task that this one was begun again for. */
  retry_of: number | null
}

/** Bytes that no object's row names any more. */
export interface UnusedObjectsTable {
  datastore: string
  location: string
  /** By the database's clock. */
  delete_after: number
}

export interface RepositoryTable {
  key: string
  value: string
}

export interface CareProgressTable {
  chore: string
  state: string
  updated_at: number
}

/** What decoding found out about content. */
export interface DescriptionsTable {
  sha256: string
  content_type: string
  width: number
  height: number
  /** 1 or 0. */
  animated: number
  duration_ms: number | null
  blurhash: string | null
  /** JSON. */
  sound: string | null
}

/** Who did what as an administrator. */
export interface AuditTable {
  id: number
  began_at: number
  /** Null: it goes on, or whoever did it has crashed. */
  ended_at: number | null
  actor: string
  address: string | null
  request_id: string | null
  action: string
  subject: string
  /** JSON. */
  details: string
  affected: number | null
  /** What went wrong; empty: nothing. */
  error: string
}

/** What was quarantined and released, in the order of the commits. */
export interface QuarantineChangesTable {
  id: number
  origin: string
  media_id: string
  /** 1 or 0. */
  quarantined: number
}

/** What a page looked like to one homeserver, in one language, in one hour. */
export interface PreviewsTable {
  homeserver: string
  url_hash: string
  language: string
  hour: number
  url: string
  site: string
  /** JSON; null: there is none, for the reason that `error` says. */
  answer: string | null
  /** JSON. */
  error: string | null
  previewer: string | null
  /** A media id of the homeserver. */
  picture: string | null
  created_at: number
  expires_at: number
  accessed_at: number | null
}

/** Media that administrators are asked to look at. */
export interface ReportsTable {
  id: string
  origin: string
  media_id: string
  sha256: string
  source: string
  reason: string
  reporter: string | null
  created_at: number
  closed_at: number | null
  outcome: string | null
  closed_by: string | null
}

/** How far taking over from matrix-media-repo is: one row. */
export interface MmrTakeOverTable {
  id: string
  /** `here` for tables in this database, else which other one it is. */
  source: string
  /** The schema of MMR's tables there. */
  tables_in: string
  state: 'copying' | 'copied' | 'finishing' | 'finished'
  progress: string
  began_at: number
  copied_at: number | null
}

/** Every row of MMR's `media` that was seen. */
export interface MmrMediaTable {
  origin: string
  media_id: string
  sha256: string
  /** As `mmrFlags` in `mmr/ledger.ts`. */
  flags: number
}

/** Every place that a row of MMR's names. */
export interface MmrPlacesTable {
  datastore: string
  location: string
  /** Empty: not known. */
  sha256: string
}

export interface MmrProblemsTable {
  problem: string
  origin: string
  media_id: string
  detail: string
}

/** What an import could not take. */
export interface ImportProblemsTable {
  source: string
  origin: string
  media_id: string
  problem: string
  details: string
}

/** Where in a datastore somebody else's objects are. */
export interface ForeignPlacesTable {
  datastore: string
  prefix: string
}

/** Exports of all media of a user or a server. */
export interface ExportsTable {
  export_id: string
  /** A user id or a server name. */
  entity: string
  task_id: number
  /** Null: the archive does not say where buckets have the files. */
  with_s3_urls_since: number | null
  created_at: number
  finished_at: number | null
  /** Null: never. */
  expires_at: number | null
  /** JSON; null: nothing was looked at yet. */
  after: string | null
}

/** Files that exports or imports are made of. */
interface ArchivePart {
  /** From 1. */
  part: number
  size: number
  sha256: string
  datastore: string
  location: string
}

export interface ExportPartsTable extends ArchivePart {
  export_id: string
  file_name: string
}

export interface ExportMediaTable {
  export_id: string
  number: number
  part: number
  origin: string
  media_id: string
  sha256: string
  size: number
  content_type: string
  name: string
  uploader: string
  created_at: number
  s3_url: string
  /** Empty: it was left out, for the reason of `left_out`. */
  file_name: string
  left_out: string
}

/** Archives that are uploaded to be imported. */
export interface ArchiveImportsTable {
  import_id: string
  task_id: number
  created_at: number
  touched_at: number
  closed_at: number | null
}

export interface ArchiveImportPartsTable extends ArchivePart {
  import_id: string
}

export interface Schema {
  objects: ObjectsTable
  media: MediaTable
  thumbnails: ThumbnailsTable
  pending_media: PendingMediaTable
  deleted_media: DeletedMediaTable
  recent_uploads: RecentUploadsTable
  usage_totals: UsageTotalsTable
  usage_changes: UsageChangesTable
  uploader_days: UploaderDaysTable
  leases: LeasesTable
  jobs: JobsTable
  tasks: TasksTable
  unused_objects: UnusedObjectsTable
  repository: RepositoryTable
  care_progress: CareProgressTable
  descriptions: DescriptionsTable
  quarantine_changes: QuarantineChangesTable
  audit: AuditTable
  previews: PreviewsTable
  reports: ReportsTable
  mmr_take_over: MmrTakeOverTable
  mmr_media: MmrMediaTable
  mmr_places: MmrPlacesTable
  mmr_problems: MmrProblemsTable
  import_problems: ImportProblemsTable
  foreign_places: ForeignPlacesTable
  exports: ExportsTable
  export_parts: ExportPartsTable
  export_media: ExportMediaTable
  archive_imports: ArchiveImportsTable
  archive_import_parts: ArchiveImportPartsTable
}
