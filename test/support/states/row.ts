/** What a row of the table is, and what is usually told. */
import { type Again, NOT_TAKEN, TAKEN } from './again.ts'
import { SERVED, type Who } from './paths.ts'
import type { Kind, Scene } from './scene.ts'

export interface State {
  readonly state: string
  readonly of: Kind
  /** Its content, where that matters. */
  readonly bytes?: () => Promise<Buffer>
  /** Nobody can make a thumbnail of it. */
  readonly isNoPicture?: true
  /** What whoever asks is told before, on both instances, so that they keep it; as of media in no special state, if not given. */
  readonly before?: Readonly<Record<Who, string>> | 'not asked for'
  /** Gets it there, at one instance. */
  readonly reach: (scene: Scene) => Promise<unknown>
  /** What whoever asks is told: `served`, or status and code. */
  readonly told: Readonly<Record<Who, string>>
  /** What APIs for administrators say of it. */
  readonly noted: 'known' | 'protected' | 'quarantined' | '404 M_NOT_FOUND'
  /** What becomes of the same bytes when they come once more. */
  readonly again: Again
  /** What else is to be seen then. */
  readonly after?: (scene: Scene) => Promise<unknown>
  /** Takes back what would concern other rows, also when it did not end well. */
  readonly restore?: (scene: Scene) => Promise<unknown>
  /** What an administrator is answered who deletes it, and users who ask for it afterwards. */
  readonly deleted?: readonly [answer: string, afterwards: string]
}

export const GONE = '404 M_NOT_FOUND'
export const REFUSED = '403 M_FORBIDDEN'

/** What is told, from left to right as in `Who`. */
export const told = (users: string, anybody: string, servers: string, bypass: string) => ({
  users,
  anybody,
  servers,
  bypass,
})

export const TO_ALL = {
  told: told(SERVED, SERVED, SERVED, SERVED),
  noted: 'known',
  again: TAKEN,
  deleted: ['200', GONE],
} as const
export const TO_NOBODY = {
  told: told(GONE, GONE, GONE, SERVED),
  noted: 'quarantined',
  again: NOT_TAKEN,
  deleted: ['200', GONE],
} as const
export const NOT_THERE = {
  told: told(GONE, GONE, GONE, GONE),
  noted: GONE,
  again: TAKEN,
  deleted: ['200', GONE],
} as const
/** Other servers ask whose it is; what is deleted here may be fetched again. */
export const OF_ANOTHER = {
  told: told(SERVED, SERVED, GONE, SERVED),
  noted: 'known',
  again: TAKEN,
  deleted: ['200', SERVED],
} as const
