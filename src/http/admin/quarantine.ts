import { type Reason, Refused } from '../../lib/errors.ts'
import type { Selection } from '../../media/bulk-selection.ts'
import type { Answer } from '../answers.ts'
import type { Call } from '../call.ts'
import { type Described, described } from '../described.ts'
import { boolean, integer, object } from '../json-schema.ts'
import { type Parameter, roomId, serverName, userId } from '../parameters.ts'
import type { HttpParts } from '../parts.ts'
import { ofRoom, quarantineOrRelease, refuseOtherServers, refuseOtherUsers } from './bulk.ts'
import { administratorOf } from './moderator.ts'

const chapter = 'Quarantine'
const details =
  'Content is quarantined under all its names; protected media stay. It goes on for up to 20 seconds, and then as a task.'
const more = {
  kept: integer('Media that stayed as they were: protected, or not for the caller to decide about.'),
  task_id: integer('The task that does the rest, if it is not finished.'),
}
const finished = { is_finished: boolean('Whether that is all.') }
const quarantined = object(
  { num_quarantined: integer('How many names were not quarantined before.'), ...finished },
  more,
)
const released = object({ num_released: integer('How many names were quarantined.'), ...finished }, more)

/** What a path names. */
interface Subject<Name extends string> {
  readonly path: Readonly<Record<Name, Parameter<string>>>
  /** In the names of the routes. */
  readonly name: string
  readonly what: string
  readonly details?: string
  readonly refusals?: readonly Reason[]
  readonly select: (parts: HttpParts, call: Call, named: Readonly<Record<Name, string>>) => Promise<Selection>
}

/** Quarantine (MMR's), and its end, which MMR has no endpoint for. */
function pairOf<Name extends string>(
  subject: Subject<Name>,
): { readonly quarantine: Described; readonly release: Described } {
  const { path, name, what, select } = subject
  const shared = {
    details: [details, subject.details].filter((text) => text !== undefined).join(' '),
    chapter,
    path,
    ...(subject.refusals ? { refusals: subject.refusals } : {}),
  } as const
  const act = async (
    verb: 'quarantine' | 'release',
    parts: HttpParts,
    call: Call,
    named: Record<Name, string>,
  ): Promise<Answer> => {
    const moderator = administratorOf(call)
    const selection = await select(parts, call, named)
    return await quarantineOrRelease(parts, call, verb, { action: `${verb}_${name}`, selection, moderator })
  }
  return {
    quarantine: described(
      { ...shared, summary: `Quarantines ${what}`, serves: ['homeserver where allowed'], answer: quarantined },
      (parts, call, given) => {
        refuseLocalAdmins(call)
        return act('quarantine', parts, call, given.path as Record<Name, string>)
      },
    ),
    release: described(
      { ...shared, summary: `Ends the quarantine of ${what}`, answer: released },
      (parts, call, given) => act('release', parts, call, given.path as Record<Name, string>),
    ),
  }
}

function refuseLocalAdmins({ administers, homeserver }: Call): void {
  if (administers === 'repository' || homeserver.quarantine.allowLocalAdmins) return
  throw new Refused(
    'forbidden',
    'Only administrators of the repository may quarantine media (quarantine.allowLocalAdmins)',
  )
}

export const ofUser = pairOf({
  path: { userId: userId({ description: 'The user.' }) },
  name: 'user',
  what: 'what a user uploaded',
  select: async (_, call, { userId: id }) => {
    refuseOtherUsers(administratorOf(call), id)
    return { by: 'user', userId: id }
  },
})

export const ofServer = pairOf({
  path: { serverName: serverName({ description: 'The server.' }) },
  name: 'domain',
  what: 'all media of a server',
  select: async (_, call, { serverName: name }) => {
    refuseOtherServers(administratorOf(call), name)
    return { by: 'server', serverName: name }
  },
})

export const ofRooms = pairOf({
  path: { roomId: roomId({ description: 'The room.' }) },
  name: 'room',
  what: 'the media that the unencrypted events of a room name',
  details: 'The homeserver is asked which these are, with the token of the caller: only Synapse can tell.',
  refusals: ['bad_request', 'not_found', 'leads_back'],
  select: (parts, call, { roomId: id }) => ofRoom(parts, call, id),
})
