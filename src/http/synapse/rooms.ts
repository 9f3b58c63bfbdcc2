import { refuseOurselves } from '../account.ts'
import { ofRoom } from '../admin/bulk.ts'
import { json } from '../answers.ts'
import { described } from '../described.ts'
import { integer, list, object, string } from '../json-schema.ts'
import { roomId } from '../parameters.ts'
import { actOnMany, restOf, unfinished } from './many.ts'
import { quarantinerOf } from './rights.ts'

const path = { roomId: roomId({ description: 'A room that the homeserver knows.' }) }

/** `GET room/{roomId}/media`: the homeserver's own answer. Which media stand in a room, only it knows. */
export const listRoomMedia = described(
  {
    summary: 'Lists the media of a room, as the homeserver knows them',
    details: 'Asked of the homeserver (Synapse) with the token of the caller. What was sent encrypted is not listed.',
    chapter: 'Synapse: rooms',
    path,
    answer: object({
      local: list(string('MXC URI of media of the homeserver addressed.')),
      remote: list(string('MXC URI of media of another one.')),
    }),
    refusals: ['bad_request', 'not_found', 'leads_back'],
  },
  async (parts, call, { path: { roomId: room } }) => {
    refuseOurselves(call)
    return json(await parts.homeservers.roomMedia(call.homeserver, call.caller, room, call))
  },
)

/** `POST room/{roomId}/media/quarantine`, and its older name. */
export const quarantineRoom = described(
  {
    summary: 'Quarantines the media of a room, under all names of their contents',
    details: 'Administrators of a homeserver quarantine what is of theirs. What is protected stays.',
    serves: ['homeserver where allowed'],
    chapter: 'Synapse: quarantine',
    path,
    answer: object({ num_quarantined: integer('How many names were not quarantined before.') }, unfinished),
    refusals: ['bad_request', 'not_found', 'leads_back'],
  },
  async (parts, call, { path: { roomId: room } }) => {
    const moderator = quarantinerOf(call)
    const selection = await ofRoom(parts, call, room)
    const what = { verb: 'quarantine', action: 'quarantine_room', subject: room, before: null } as const
    const outcome = await actOnMany(parts, call, { ...what, selection, moderator })
    return json({ num_quarantined: outcome.progress.done, ...restOf(outcome) })
  },
)
