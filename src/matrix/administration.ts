/** What only the homeserver knows and administrators need: whose picture some media are, who there is. */
import { Refused, RefusedByHomeserver } from '../lib/errors.ts'
import type { Caller } from './caller.ts'
import { type Answer, errcodeOf, type JsonObject, unavailable } from './client.ts'
import type { Asker, Homeservers } from './homeserver.ts'
import type { HomeserverOptions } from './options.ts'

/** Whom to ask, and for whom. */
export interface Questioning {
  readonly homeservers: Pick<Homeservers, 'askForAdministrator'>
  readonly homeserver: HomeserverOptions
  readonly caller: Caller
  readonly asker: Asker
}

const ROOMS_AT_ONCE = 500
const DETAILS_AT_ONCE = 8

/**
 * Whether the homeserver has such a user. Source: specification, `GET /_matrix/client/v3/profile/{userId}`. Whoever cannot be asked
 * about, by the shared secret or where the homeserver shows profiles to few, is taken to be one.
 */
export async function isKnownUser(questioning: Questioning, userId: string): Promise<boolean> {
  if (questioning.caller.kind !== 'user') return true
  return (await profileOf(questioning, userId)).status !== 404
}

/** The MXC URI of a user's picture; undefined: there is none. */
export async function avatarOf(questioning: Questioning, userId: string): Promise<string | undefined> {
  const answer = await profileOf(questioning, userId)
  if (answer.status === 404) return undefined
  if (answer.status >= 300) throw refusal(questioning, answer)
  return text(answer.body?.['avatar_url'])
}

/**
 * The MXC URIs of the pictures of all rooms that the homeserver knows. Only Synapse tells of them: one request for some hundred
 * rooms, and one for each.
 *
 * @throws {Refused} `bad_request` for homeservers of other kinds and for the shared secret; `homeserver_unavailable`
 * @throws {RefusedByHomeserver} in its own words: the caller is not its administrator, …
 */
export async function roomAvatars(questioning: Questioning): Promise<Set<string>> {
  // `matrix` says nothing of who it is.
  if (questioning.homeserver.adminApiKind === 'dendrite') throw cannotTell(questioning)
  const avatars = new Set<string>()
  for await (const rooms of roomLists(questioning)) {
    for (let begin = 0; begin < rooms.length; begin += DETAILS_AT_ONCE) {
      const some = rooms.slice(begin, begin + DETAILS_AT_ONCE).map((room) => roomAvatar(questioning, room))
      for (const avatar of await Promise.all(some)) if (avatar !== undefined) avatars.add(avatar)
    }
  }
  return avatars
}

async function* roomLists(questioning: Questioning): AsyncGenerator<readonly string[]> {
  const path = '/_synapse/admin/v1/rooms'
  for (let from: number | undefined = 0; from !== undefined;) {
    questioning.asker.signal?.throwIfAborted()
    // By name, so that rooms which grow or shrink meanwhile do not change places.
    const query = { from: String(from), limit: String(ROOMS_AT_ONCE), order_by: 'name' }
    const body: JsonObject = await roomList(questioning, { path, query })
    const { rooms, next_batch: next } = body
    yield (Array.isArray(rooms) ? rooms : [])
      .map((room: JsonObject) => text(room['room_id']))
      .filter((id) => id !== undefined)
    from = typeof next === 'number' && next > from ? next : undefined
  }
}

async function roomAvatar(questioning: Questioning, roomId: string): Promise<string | undefined> {
  const answer = await ask(questioning, { path: `/_synapse/admin/v1/rooms/${encodeURIComponent(roomId)}` })
  // It was deleted meanwhile.
  if (answer.status === 404) return undefined
  if (answer.status >= 300) throw refusal(questioning, answer)
  return text(answer.body?.['avatar'])
}

type Question = Parameters<Homeservers['askForAdministrator']>[2]

const ask = ({ homeservers, homeserver, caller, asker }: Questioning, question: Question) =>
  homeservers.askForAdministrator(homeserver, caller, question, asker)

const profileOf = (questioning: Questioning, userId: string) =>
  ask(questioning, { path: `/_matrix/client/v3/profile/${encodeURIComponent(userId)}` })

async function roomList(questioning: Questioning, question: Question): Promise<JsonObject> {
  const answer = await ask(questioning, question)
  if (answer.status === 404) throw cannotTell(questioning)
  if (answer.status >= 300) throw refusal(questioning, answer)
  return answer.body ?? {}
}

/** In the homeserver's own words, if they are some. */
function refusal({ homeserver }: Questioning, answer: Answer): Error {
  const { status, body } = answer
  // Its own faults are none of ours, nor of the caller.
  if (status < 500 && body && errcodeOf(answer) !== undefined) return new RefusedByHomeserver(status, body)
  const cause = new Error(`${homeserver.csApi} answered ${status}`)
  return unavailable(homeserver, 'does not answer as a homeserver does: check its csApi', { cause })
}

const cannotTell = ({ homeserver: { name } }: Questioning) =>
  new Refused(
    'bad_request',
    `The homeserver of ${name} cannot tell the pictures of all rooms: only Synapse can (keep_profiles=false does without)`,
  )

const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined)
