/** What a user's client does with a running server. */

export interface MediaClient {
  /** Uploads and gives the status, and `example.org/MEDIA_ID` when that is 200. */
  readonly upload: (bytes: Uint8Array, name?: string) => Promise<Uploaded>
  /** Reserves a media id and gives `example.org/MEDIA_ID`. */
  readonly create: () => Promise<string>
  /** Uploads to a reserved id and gives the status. */
  readonly fill: (media: string, bytes: Uint8Array) => Promise<number>
  /** Downloads; waits for what is still to be uploaded, half a minute if not told how long (in ms). */
  readonly download: (media: string, timeoutMs?: number) => Promise<{ readonly status: number; readonly body: Buffer }>
  /** Asks for a small thumbnail and gives the status. */
  readonly thumbnail: (media: string) => Promise<number>
  readonly logout: () => Promise<number>
}

export interface Uploaded {
  readonly status: number
  readonly media: string
}

/** Calls `server` as the user with this token, addressing the homeserver `host`. */
export function mediaClient(server: { readonly url: string }, token: string, host = 'example.org'): MediaClient {
  const call = (path: string, options: { method?: string; body?: Uint8Array } = {}) =>
    fetch(`${server.url}/_matrix${path}`, {
      ...(options.method ? { method: options.method } : {}),
      ...(options.body ? { body: new Uint8Array(options.body) } : {}),
      headers: {
        authorization: `Bearer ${token}`,
        'x-forwarded-host': host,
        'content-type': 'application/octet-stream',
      },
    })
  return {
    async upload(body, name) {
      const query = name === undefined ? '' : `?filename=${encodeURIComponent(name)}`
      return await mediaOf(await call(`/media/v3/upload${query}`, { method: 'POST', body }))
    },
    async create() {
      return (await mediaOf(await call('/media/v1/create', { method: 'POST' }))).media
    },
    async fill(media, body) {
      return await statusOf(await call(`/media/v3/upload/${media}`, { method: 'PUT', body }))
    },
    async download(media, timeoutMs = 30_000) {
      const answer = await call(`/client/v1/media/download/${media}?timeout_ms=${timeoutMs}`)
      return { status: answer.status, body: Buffer.from(await answer.arrayBuffer()) }
    },
    async thumbnail(media) {
      return await statusOf(await call(`/client/v1/media/thumbnail/${media}?width=96&height=96&method=crop`))
    },
    async logout() {
      return await statusOf(await call('/client/v3/logout', { method: 'POST' }))
    },
  }
}

async function mediaOf(answer: Response): Promise<Uploaded> {
  const text = await answer.text()
  if (answer.status !== 200) return { status: answer.status, media: '' }
  const { content_uri: uri }: { readonly content_uri: string } = JSON.parse(text)
  return { status: 200, media: uri.slice('mxc://'.length) }
}

async function statusOf(answer: Response): Promise<number> {
  await answer.arrayBuffer()
  return answer.status
}
