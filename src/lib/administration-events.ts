/** What administrators do, and what others may not. As `events.ts`. */
import type { EventParts, LogAndMetrics } from './events.ts'

export interface Moderated {
  readonly mxc: string
  readonly sha256: string
  /** Names of the content that this concerned. */
  readonly names: number
  /** Who did it; undefined for a task. */
  readonly by: string | undefined
}

/** Some content is refused from now on. */
export function mediaQuarantined({ log, metrics }: LogAndMetrics, moderated: Moderated): void {
  metrics.quarantined.of().add(moderated.names)
  log.info(moderated, 'quarantined')
}

/** Some content is served again. */
export function mediaReleased({ log }: Pick<EventParts, 'log'>, moderated: Moderated): void {
  log.info(moderated, 'released from quarantine')
}

/** Some media are gone for good, with so many objects that nothing else used. */
export function mediaDeleted(
  { log, metrics }: LogAndMetrics,
  deleted: Omit<Moderated, 'names'> & { readonly objects: number },
): void {
  metrics.deleted.of().add()
  log.info(deleted, 'deleted')
}

export interface Administered {
  /** A user id, `@sharedsecret`, or `cli:` and the name of an account of the machine. */
  readonly by: string
  readonly address: string | null
  readonly requestId: string | null
  readonly action: string
  readonly subject: string
  /** How many media, tasks or whatever it is about. */
  readonly affected: number | null
  /** What went wrong; empty: nothing. */
  readonly error: string
}

/** Somebody did something that the audit log keeps. */
export function administered({ log, metrics }: LogAndMetrics, deed: Administered): void {
  metrics.administered.of(deed.action, deed.error === '' ? 'done' : 'failed').add()
  log.info(deed, 'audit')
}

export interface AdminRefusal {
  readonly by: string | undefined
  readonly address: string
  readonly requestId: string
  readonly action: string
  /** The path that was asked for. */
  readonly path: string
}

/** Somebody asked for what only administrators may do. The audit log keeps none of these: anybody could fill it. */
export function adminRefused({ log, metrics }: LogAndMetrics, refusal: AdminRefusal): void {
  metrics.adminRefused.of(refusal.action).add()
  log.warn(refusal, 'refused what only administrators may do')
}

export interface ManyModerated {
  readonly verb: 'purge' | 'quarantine' | 'release'
  /** Which media: a user, a server, a room, … */
  readonly subject: string
  readonly by: string
  readonly names: number
  /** Of deleted media. */
  readonly bytes: number
  /** Names that stayed as they were. */
  readonly kept: number
}

/** Many media were purged, quarantined or released, as far as this run of it came. */
export function manyModerated({ log, metrics }: LogAndMetrics, { verb, ...moderated }: ManyModerated): void {
  if (verb === 'quarantine') metrics.quarantined.of().add(moderated.names)
  if (verb === 'purge') metrics.deleted.of().add(moderated.names)
  log.info(moderated, MANY[verb])
}

const MANY = {
  purge: 'purged many media',
  quarantine: 'quarantined many media',
  release: 'released many media from quarantine',
} as const
