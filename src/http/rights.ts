/** Who may call a described route, for the document and the manual of the API. What decides is the code; a test compares both. */
import type { Who } from './auth.ts'

/** Whom a route serves beside administrators of the repository. */
export type Served =
  /** Every user who has an account. */
  | 'everybody'
  /** Users, for what they uploaded themselves. */
  | 'owner'
  /** Administrators of the homeserver addressed, for what is of theirs. */
  | 'homeserver'
  /** The same, unless `quarantine.allowLocalAdmins` is false. */
  | 'homeserver where allowed'
  /** Users, for what they uploaded themselves, with `archiving.selfService`. */
  | 'owner by self-service'
  /** Administrators of the homeserver addressed, for what is of theirs, with `archiving.selfService`. */
  | 'homeserver by self-service'

interface Callable {
  readonly who: Who
  readonly description?: { readonly serves?: readonly Served[] }
}

/** Whom a route serves beside administrators of the repository. */
export function servedBy({ who, description }: Callable): readonly Served[] {
  if (description?.serves) return description.serves
  return who === 'homeserver_admin' ? ['homeserver'] : []
}

const WORDS: Readonly<Record<Served, string>> = {
  everybody: 'users',
  owner: 'users, for what they uploaded',
  homeserver: 'administrators of the homeserver, for what is of theirs',
  'homeserver where allowed':
    'administrators of the homeserver, for what is of theirs (unless `quarantine.allowLocalAdmins` is false)',
  'owner by self-service': 'users, for what they uploaded (with `archiving.selfService`)',
  'homeserver by self-service':
    'administrators of the homeserver, for what is of theirs (with `archiving.selfService`)',
}

/** Who may call it, in words. */
export function callersOf(route: Callable): string {
  if (route.who === 'anyone') return 'anybody'
  return [...servedBy(route).map((one) => WORDS[one]), 'administrators of the repository'].join('; ')
}
