/**
 * Asks as moderation bots do, of which this has the requests only: Draupnir's for users and rooms, and the `quarantine-media` of
 * Mjolnir, from which it comes. They have one address for everything and send their token in a header, and a body only if there is one.
 */
import { type Dispatcher, fetch } from 'undici'

export interface BotOptions {
  /** Of the reverse proxy. */
  readonly url: string
  readonly dispatcher: Dispatcher
  readonly userId: string
  readonly token: string
}

type Json = Readonly<Record<string, unknown>>

interface RoomEvent {
  readonly type: string
  readonly sender: string
  readonly content: { readonly url?: unknown; readonly info?: { readonly thumbnail_url?: unknown } }
}

const encode = encodeURIComponent

export class ModerationBot {
  readonly #options: BotOptions

  constructor(options: BotOptions) {
    this.#options = options
  }

  /** The first that it asks when it starts. */
  isSynapseAdmin = (): Promise<Json> =>
    this.#ask('GET', `/_synapse/admin/v1/users/${encode(this.#options.userId)}/admin`)
  userDetails = (userId: string): Promise<Json> => this.#ask('GET', `/_synapse/admin/v2/users/${encode(userId)}`)
  roomDetails = (roomId: string): Promise<Json> => this.#ask('GET', `/_synapse/admin/v1/rooms/${encode(roomId)}`)
  abuseReports = (): Promise<Json> => this.#ask('GET', '/_synapse/admin/v1/event_reports?from=0&limit=50&dir=b')
  suspend = (userId: string): Promise<Json> =>
    this.#ask('PUT', `/_synapse/admin/v1/suspend/${encode(userId)}`, { suspend: true })
  redact = (userId: string): Promise<Json> =>
    this.#ask('POST', `/_synapse/admin/v1/user/${encode(userId)}/redact`, { rooms: [] })
  shutDown = (roomId: string): Promise<Json> =>
    this.#ask('DELETE', `/_synapse/admin/v2/rooms/${encode(roomId)}`, { block: true })

  /** What somebody sent into a room that the bot is in, pictures and their thumbnails, one request for each; gives their MXC URIs. */
  async quarantineMediaOf(userId: string, roomId: string): Promise<readonly string[]> {
    const sent = await this.#mediaOf(userId, roomId)
    for (const mxc of sent) {
      const [server = '', mediaId = ''] = mxc.slice('mxc://'.length).split('/')
      await this.#ask('POST', `/_synapse/admin/v1/media/quarantine/${encode(server)}/${encode(mediaId)}`)
    }
    return sent
  }

  async #mediaOf(userId: string, roomId: string): Promise<readonly string[]> {
    const { chunk } = await this.#ask('GET', `/_matrix/client/v3/rooms/${encode(roomId)}/messages?dir=b&limit=100`)
    return (chunk as readonly RoomEvent[])
      .filter(({ type, sender }) => type === 'm.room.message' && sender === userId)
      .flatMap(({ content: { url, info } }) => [url, info?.thumbnail_url])
      .filter((uri) => typeof uri === 'string')
  }

  async #ask(method: string, path: string, body?: Json): Promise<Json> {
    const { url, dispatcher, token } = this.#options
    const headers = { authorization: `Bearer ${token}`, ...(body ? { 'content-type': 'application/json' } : {}) }
    const sent = body ? { body: JSON.stringify(body) } : {}
    const response = await fetch(`${url}${path}`, { method, headers, dispatcher, ...sent })
    if (response.status !== 200) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
    return (await response.json()) as Json
  }
}
