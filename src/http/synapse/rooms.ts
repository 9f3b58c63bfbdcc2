import { roomMedia } from '../../matrix/administration.ts'
import { parseMxc } from '../../matrix/ids.ts'
import { quarantineNames } from '../../media/named.ts'
import { refuseOurselves } from '../account.ts'
import { moderatorOf } from '../admin/moderator.ts'
import { json } from '../answers.ts'
import { described } from '../described.ts'
import { integer, list, object, string } from '../json-schema.ts'
import { roomId } from '../parameters.ts'
import { questioning } from './rights.ts'

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
    return json(await roomMedia(questioning(parts, call), room))
  },
)

/** `POST room/{roomId}/media/quarantine`, and its older name. */
export const quarantineRoom = described(
  {
    summary: 'Quarantines the media of a room, under all names of their contents',
    details: 'Administrators of a homeserver quarantine what is of theirs. What is protected stays.',
    chapter: 'Synapse: quarantine',
    path,
    answer: object({ num_quarantined: integer('How many names were not quarantined before.') }),
    refusals: ['bad_request', 'not_found', 'leads_back'],
  },
  async (parts, call, { path: { roomId: room } }) => {
    const moderator = await moderatorOf(parts, call, call.homeserver.quarantine.allowLocalAdmins)
    refuseOurselves(call)
    const { local, remote } = await roomMedia(questioning(parts, call), room)
    const names = [...local, ...remote].map(parseMxc).filter((mxc) => mxc !== undefined)
    const deed = { action: 'quarantine_room', subject: room }
    return json({ num_quarantined: await quarantineNames(parts, moderator, deed, names) })
  },
)
