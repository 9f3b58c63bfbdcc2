import { createHash } from 'node:crypto'
import { send } from '../app.ts'
import { MADE_HERE, type Page, type Preview } from './page.ts'
import type { LocalWeb } from './server.ts'

/** A server that previews pages, on the loopback, and somebody who may ask it. */
export interface Asked {
  readonly port: number
  readonly token: string
}

export interface Previewed {
  readonly status: number
  /** Comparable: as a page's `preview`. */
  readonly preview: Preview
  /** `matrix:image:size`, and how many bytes the picture has when it is downloaded; undefined without a picture. */
  readonly sizes?: { readonly said: unknown; readonly sent: number }
}

/** Asks a server for the preview of a page, and fetches the picture that the answer names. */
export async function previewOf(asked: Asked, web: LocalWeb, page: Pick<Page, 'at' | 'asked'>): Promise<Previewed> {
  const url = encodeURIComponent(web.urlOf(page.asked ?? page.at))
  const { token } = asked
  const { status, json } = await send(asked.port, `/_matrix/client/v1/media/preview_url?url=${url}`, { token })
  const { 'matrix:image:size': said, ...rest } = json
  const picture = await pictureOf(asked, json['og:image'])
  const plain = Object.entries(rest).map(([key, value]) => [key, plainValue(web, value)])
  const preview = Object.fromEntries(plain)
  if (!picture) return { status, preview }
  preview['og:image'] = web.sentFrom(createHash('sha256').update(picture).digest('hex')) ?? MADE_HERE
  return { status, preview, sizes: { said, sent: picture.length } }
}

function plainValue(web: LocalWeb, value: unknown): unknown {
  return typeof value === 'string' ? web.plain(value) : value
}

async function pictureOf({ port, token }: Asked, mxc: unknown): Promise<Buffer | undefined> {
  if (typeof mxc !== 'string' || !mxc.startsWith('mxc://')) return undefined
  const { status, body } = await send(port, `/_matrix/client/v1/media/download/${mxc.slice(6)}`, { token })
  if (status !== 200) throw new Error(`${mxc} cannot be downloaded: ${status} ${body.toString()}`)
  return body
}
