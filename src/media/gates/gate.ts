import type { StagedFile } from '../../datastores/staging.ts'
import type { MediaKind } from '../../db/schema.ts'

/** A file that was received whole and is nobody's yet, and what is known of it. */
export interface Candidate {
  readonly staged: Pick<StagedFile, 'path' | 'size' | 'sha256'>
  readonly kind: MediaKind
  /** The name that it is going to have. */
  readonly origin: string
  readonly mediaId: string
  /** The homeserver for which it was received. */
  readonly homeserver: string
  /** Null: it comes from another server, or from the web. */
  readonly uploader: string | null
  /** The client's IP address, of uploads. */
  readonly address: string | null
  /** As its sender says. */
  readonly contentType: string
  readonly uploadName: string | null
  /** Aborts when nobody wants the answer any more. */
  readonly signal: AbortSignal
}

/** What is to happen to a file, the mildest first. */
export type Action = 'allow' | 'report' | 'quarantine' | 'reject'

export interface Verdict {
  readonly action: Action
  /** For administrators: on which list, which virus. */
  readonly reason: string
  /** For whoever uploads; not given: that the content is not allowed. */
  readonly told?: string
}

export const ALLOWED: Verdict = { action: 'allow', reason: '' }

/**
 * Something that judges files before they are stored. One file in this folder each, listed in `gates.ts`. A gate reads the staged
 * file as a stream, never whole.
 */
export interface Gate {
  /** What logs, metrics and reports call it. */
  readonly name: string
  /** What happens to a file that it cannot judge: `refuse` has its sender try again later. */
  readonly onFailure: 'allow' | 'refuse'
  /** Throws whatever keeps it from judging. */
  judge(candidate: Candidate): Promise<Verdict>
}
