/** People with a real Matrix client (`matrix-js-sdk`), for end-to-end tests. */
import { ClientEvent, createClient, MsgType, RoomEvent, type MatrixClient, type MatrixEvent } from 'matrix-js-sdk'
import type { Logger } from 'matrix-js-sdk/lib/logger.js'

/** Logs in with a password through the address that clients use. */
export async function logIn(baseUrl: string, userId: string, password: string): Promise<MatrixClient> {
  const entry = createClient({ baseUrl, logger: silent })
  const identifier = { type: 'm.id.user', user: userId }
  const login = await entry.loginRequest({ type: 'm.login.password', identifier, password })
  return createClient({
    baseUrl,
    userId: login.user_id,
    deviceId: login.device_id,
    accessToken: login.access_token,
    logger: silent,
  })
}

export async function startSyncing(client: MatrixClient): Promise<void> {
  const synced = new Promise<void>((resolve) => client.once(ClientEvent.Sync, () => resolve()))
  await client.startClient({ initialSyncLimit: 10 })
  await synced
}

/** The next picture that somebody sends and this client hears of by its sync. */
export function nextPicture(client: MatrixClient): Promise<MatrixEvent> {
  return new Promise((resolve) => {
    const listener = (event: MatrixEvent) => {
      if (event.getContent()['msgtype'] !== MsgType.Image) return
      client.off(RoomEvent.Timeline, listener)
      resolve(event)
    }
    client.on(RoomEvent.Timeline, listener)
  })
}

export interface Size {
  readonly width: number
  readonly height: number
  readonly method: 'crop' | 'scale'
}

/** Where the client would fetch a file, or a thumbnail of it, with its token. */
export function addressOf(client: MatrixClient, mxc: string, thumbnail?: Size): string {
  const { width, height, method } = thumbnail ?? {}
  const address = client.mxcUrlToHttp(mxc, width, height, method, false, true, true)
  if (!address) throw new Error(`the client finds no address for ${mxc}`)
  return address
}

/** Fetches with the client's token, as clients do for authenticated media. */
export function fetchAs(client: MatrixClient, address: string, options: RequestInit = {}): Promise<Response> {
  const headers = new Headers(options.headers)
  headers.set('Authorization', `Bearer ${client.getAccessToken() ?? ''}`)
  return fetch(address, { ...options, headers })
}

const silent: Logger = {
  trace() {},
  debug() {},
  info() {},
  warn() {},
  error() {},
  getChild: () => silent,
}
