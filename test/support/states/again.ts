/** The same bytes once more, in every way in which they can come in. */
import { ADMIN, type Instance, type Pair, READER, SENDER, type Told } from './pair.ts'
import { follow, refusal, SERVED, type Subject } from './paths.ts'
import { pageSaying, previewPath } from '../web-site.ts'

/** By each way: `served` (it is taken, and whoever asks gets it), or what is answered. */
export interface Again {
  readonly upload: string
  readonly put: string
  readonly remote: string
  readonly preview: string
}

export const TAKEN: Again = { upload: SERVED, put: SERVED, remote: SERVED, preview: SERVED }
export const NOT_TAKEN: Again = {
  upload: '403 M_FORBIDDEN',
  put: '403 M_FORBIDDEN',
  remote: '404 M_NOT_FOUND',
  preview: 'no picture',
}

let pages = 0

/** Sends the bytes to one instance, and asks the other one for what became of them. */
export async function sendAgain(pair: Pair, to: Instance, from: Instance, { bytes }: Subject): Promise<Again> {
  const get = async (media: string) => {
    const told = await from.ask({ path: `/_matrix/client/v1/media/download/${media}`, token: READER.token })
    const got = told.status === 307 ? await follow(told) : told
    return got.status === 200 && got.body.equals(bytes) ? SERVED : refusal(got)
  }
  const taken = async (told: Told, media: () => string) => (told.status === 200 ? await get(media()) : refusal(told))
  const upload = await to.ask({ path: '/_matrix/media/v3/upload', method: 'POST', token: SENDER.token, body: bytes })
  const reserved = uriOf(await to.ask({ path: '/_matrix/media/v1/create', method: 'POST', token: SENDER.token }))
  const put = await to.ask({
    path: `/_matrix/media/v3/upload/${reserved}`,
    method: 'PUT',
    token: SENDER.token,
    body: bytes,
  })
  const picture = await preview(to, showing(pair, bytes))
  return {
    upload: await taken(upload, () => uriOf(upload)),
    put: await taken(put, () => reserved),
    remote: await get(pair.remote.put(bytes)),
    preview: picture === undefined ? 'no picture' : await get(picture),
  }
}

/** `example.org/MEDIA_ID` of the answer to an upload or `create`. */
export function uriOf(told: Told): string {
  if (told.status !== 200) throw new Error(`${refusal(told)}: ${String(told.body)}`)
  return String(JSON.parse(String(told.body)).content_uri).slice('mxc://'.length)
}

/** Puts a page on the web site that shows this picture, and gives its address. */
export function showing({ site }: Pair, bytes: Buffer): string {
  const [page, picture] = [`/page${pages}`, `/picture${pages++}.png`]
  site.script(picture, (response) => void response.writeHead(200, { 'content-type': 'image/png' }).end(bytes))
  site.page(page, pageSaying({ title: page, image: site.urlOf(picture) }))
  return site.urlOf(page)
}

/** The picture of a page's preview, as `server/MEDIA_ID`. */
export async function preview(instance: Instance, page: string): Promise<string | undefined> {
  const told = await instance.ask({ path: previewPath(page), token: READER.token })
  if (told.status !== 200) throw new Error(`the preview of ${page}: ${refusal(told)}`)
  const uri: unknown = JSON.parse(String(told.body))['og:image']
  return typeof uri === 'string' ? uri.slice('mxc://'.length) : undefined
}

/** What Synapse's API for administrators says of some media, by id and in its uploader's list, and MMR's list of uploads. */
export async function noted(instance: Instance, { media }: Subject, uploader: string | undefined): Promise<string> {
  const [server = '', mediaId] = media.split('/')
  const get = (path: string) => instance.ask({ path, token: ADMIN.token })
  const alone = await get(`/_synapse/admin/v1/media/${media}`)
  const says = alone.status === 200 ? standing(JSON.parse(String(alone.body)).media_info) : refusal(alone)
  const uploads = await get(`/_matrix/media/unstable/admin/usage/${server}/uploads?mxc=mxc://${media}`)
  const found = JSON.parse(String(uploads.body))[`mxc://${media}`] as { readonly quarantined: boolean } | undefined
  const isAlike = found ? found.quarantined === (says === 'quarantined') : alone.status === 404
  if (!isAlike) return `${says}, but admin/usage says ${JSON.stringify(found)}`
  if (uploader === undefined) return says
  const list = await get(`/_synapse/admin/v1/users/${uploader}/media?limit=2000`)
  const all: readonly Standing[] = JSON.parse(String(list.body)).media
  const listed = all.find((one) => one.media_id === mediaId)
  const inList = listed ? standing(listed) : '404 M_NOT_FOUND'
  return inList === says ? says : `${says}, but in the list of its uploader ${inList}`
}

interface Standing {
  readonly media_id: string
  readonly quarantined_by: string | null
  readonly safe_from_quarantine: boolean | null
}

function standing({ quarantined_by: by, safe_from_quarantine: isSafe }: Standing): string {
  if (by !== null) return 'quarantined'
  return isSafe ? 'protected' : 'known'
}
