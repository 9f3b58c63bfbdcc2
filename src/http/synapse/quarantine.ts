import { setProtection } from '../../db/protection.ts'
import { Refused } from '../../lib/errors.ts'
import { formatMxc } from '../../matrix/ids.ts'
import { auditedWrite } from '../../media/audit.ts'
import { quarantine, release } from '../../media/moderation.ts'
import { refuseOtherUsers } from '../admin/bulk.ts'
import { actorOf, administratorOf } from '../admin/moderator.ts'
import { type Answer, json } from '../answers.ts'
import type { Call } from '../call.ts'
import { described } from '../described.ts'
import { integer, object } from '../json-schema.ts'
import { mediaId, serverName, userId } from '../parameters.ts'
import type { HttpParts } from '../parts.ts'
import { actOnMany, restOf, unfinished } from './many.ts'
import { quarantinerOf } from './rights.ts'

const chapter = 'Synapse: quarantine'
const path = {
  server: serverName({ description: 'The server name in the MXC URI.' }),
  mediaId: mediaId({ description: 'The media id in the MXC URI.' }),
}

/** `POST media/quarantine/{server}/{mediaId}`. */
export const quarantineMedia = described(
  {
    summary: 'Quarantines the content of some media, under all its names',
    details: 'What is protected stays. What is not known here is passed over.',
    serves: ['homeserver where allowed'],
    chapter,
    path,
    answer: object({}),
    refusals: ['bad_request'],
  },
  async (parts, call, { path: { server: origin, mediaId: id } }) => {
    await quarantine(parts, quarantinerOf(call), { origin, mediaId: id })
    return json({})
  },
)

/** `POST media/unquarantine/{server}/{mediaId}`. */
export const releaseMedia = described(
  {
    summary: 'Ends the quarantine of the content of some media, under all its names',
    serves: [],
    chapter,
    path,
    answer: object({}),
  },
  async (parts, call, { path: { server: origin, mediaId: id } }) => {
    await release(parts, administratorOf(call), { origin, mediaId: id })
    return json({})
  },
)

/** `POST user/{userId}/media/quarantine`: `user`, as with Synapse. */
export const quarantineUserMedia = described(
  {
    summary: 'Quarantines what a user has uploaded, under all names of the contents',
    details: 'What is protected stays.',
    serves: ['homeserver where allowed'],
    chapter,
    path: { userId: userId({ description: 'A user of a homeserver of this repository.' }) },
    answer: object({ num_quarantined: integer('How many names were not quarantined before.') }, unfinished),
    refusals: ['bad_request'],
  },
  async (parts, call, given) => {
    const moderator = quarantinerOf(call)
    const { userId: subject } = given.path
    refuseOtherUsers(moderator, subject)
    const selection = { by: 'user', userId: subject } as const
    const what = { verb: 'quarantine', action: 'quarantine_user', subject, before: null } as const
    const outcome = await actOnMany(parts, call, { ...what, selection, moderator })
    return json({ num_quarantined: outcome.progress.done, ...restOf(outcome) })
  },
)

const ofAddressed = { mediaId: mediaId({ description: 'Media id of the homeserver addressed.' }) }

/** `POST media/protect/{mediaId}`. */
export const protectMedia = described(
  {
    summary: 'Keeps some media from quarantine, purges and expiry',
    chapter,
    path: ofAddressed,
    answer: object({}),
    refusals: ['not_found'],
  },
  async (parts, call, given) => await protect(parts, call, given.path.mediaId, parts.clock.now()),
)

/** `POST media/unprotect/{mediaId}`. */
export const unprotectMedia = described(
  {
    summary: 'Ends the protection of some media',
    chapter,
    path: ofAddressed,
    answer: object({}),
    refusals: ['not_found'],
  },
  async (parts, call, given) => await protect(parts, call, given.path.mediaId, null),
)

async function protect(parts: HttpParts, call: Call, id: string, at: number | null): Promise<Answer> {
  const name = { origin: call.homeserver.name, mediaId: id }
  const actor = actorOf(call)
  const what = { action: at === null ? 'unprotect_media' : 'protect_media', subject: formatMxc(name) }
  const change = { ...name, at, by: actor.by }
  const isThere = await auditedWrite(parts, actor, what, setProtection, change, (was) => (was ? 1 : 0))
  if (!isThere) throw new Refused('not_found', 'Unknown media')
  return json({})
}
