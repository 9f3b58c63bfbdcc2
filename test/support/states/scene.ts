/** One row of the table: some media of its own, whoever sent it, and what is done to it. */
import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import { eventually } from '../app.ts'
import { noise } from '../images.ts'
import { preview, showing, uriOf } from './again.ts'
import { ADMIN, type Instance, type Pair, READER, type Told } from './pair.ts'
import { refusal, type Subject } from './paths.ts'

export type Kind =
  /** Uploaded by a user of its own. */
  | 'upload'
  /** A file of another server, fetched when it is asked for. */
  | 'remote'
  /** The picture of a preview. */
  | 'preview'
  /** A media id that waits for its upload. */
  | 'reserved'

export interface Scene {
  readonly pair: Pair
  /** Where things are changed. */
  readonly here: Instance
  readonly there: Instance
  readonly subject: Subject
  /** Who sent it, if it is an upload or reserved. */
  readonly uploader: { readonly token: string; readonly userId: string }
  /** Uploads the same bytes under another name, as another user; gives `example.org/MEDIA_ID`. */
  readonly copy: () => Promise<string>
  /** Does something as an administrator of the repository, below `/_matrix/media/unstable/admin/`; gives the answer. */
  readonly admin: (method: string, path: string, body?: unknown) => Promise<Record<string, unknown>>
  /** The same, below `/_synapse/admin/v1/`. */
  readonly synapse: (method: string, path: string) => Promise<Record<string, unknown>>
  /** The answer of any request. */
  readonly ask: Instance['ask']
}

let count = 0

export async function startScene(pair: Pair, kind: Kind, bytes?: Buffer): Promise<Scene> {
  const number = count++
  const [a, b] = pair.instances
  const [here, there] = number % 2 === 0 ? [a, b] : [b, a]
  const uploader = { token: `syt_user${number}`, userId: `@user${number}:example.org` }
  const other = { token: `syt_other${number}`, userId: `@other${number}:example.org` }
  for (const user of [uploader, other]) pair.addUser(user)
  const content = bytes ?? (await noise({ width: 64, height: 48 }).png().toBuffer())
  const upload = (token: string) => here.ask({ path: '/_matrix/media/v3/upload', method: 'POST', token, body: content })
  const call = async (path: string, method: string, body?: unknown) =>
    asJson(await here.ask({ path, method, token: ADMIN.token, ...(body ? { body: JSON.stringify(body) } : {}) }))
  return {
    pair,
    here,
    there,
    uploader,
    subject: { bytes: content, ...(await subjectOf(pair, here, kind, { content, uploader, upload })) },
    copy: async () => uriOf(await upload(other.token)),
    admin: (method, path, body) => call(`/_matrix/media/unstable/admin/${path}`, method, body),
    synapse: (method, path) => call(`/_synapse/admin/v1/${path}`, method),
    ask: here.ask,
  }
}

interface Sending {
  readonly content: Buffer
  readonly uploader: Scene['uploader']
  readonly upload: (token: string) => Promise<Told>
}

async function subjectOf(
  pair: Pair,
  here: Instance,
  kind: Kind,
  { content, uploader, upload }: Sending,
): Promise<Omit<Subject, 'bytes'>> {
  if (kind === 'upload') return { media: uriOf(await upload(uploader.token)) }
  if (kind === 'remote') return { media: pair.remote.put(content) }
  if (kind === 'preview') {
    const page = showing(pair, content)
    return { media: (await preview(here, page)) ?? '', page }
  }
  return { media: uriOf(await here.ask({ path: '/_matrix/media/v1/create', method: 'POST', token: uploader.token })) }
}

function asJson(told: Told): Record<string, unknown> {
  if (told.status !== 200) throw new Error(`${refusal(told)}: ${String(told.body)}`)
  return JSON.parse(String(told.body)) as Record<string, unknown>
}

/**
 * Waits until both instances go by what was written to a list: until each refuses what was put there last. One of its own for each, since
 * what one quarantines is refused by both.
 */
export async function untilListed({ pair }: Scene, add: (markers: readonly Buffer[]) => Promise<void>): Promise<void> {
  const markers = pair.instances.map(() => randomBytes(100))
  await add(markers)
  await untilRefused(pair, markers)
}

/** Waits until each instance refuses its one of these. */
export async function untilRefused({ instances }: Pair, bodies: readonly Buffer[]): Promise<void> {
  for (const [index, { ask }] of instances.entries()) {
    const body = bodies[index] ?? ''
    const send = () => ask({ path: '/_matrix/media/v3/upload', method: 'POST', token: READER.token, body })
    await eventually(async () => (await send()).status === 403, 30_000)
  }
}

/** Asserts how many names a request says it has dealt with. */
export function expectCount(answer: Record<string, unknown>, name: string, names: number): void {
  expect(answer, `how many names it says it has dealt with`).toMatchObject({ [name]: names })
}
