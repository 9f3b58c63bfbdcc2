/** Archives as tests ask for them, take them apart and put them together. */
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { type Header, pack } from 'tar-stream'
import type { ManifestHead, ManifestMedia } from '../../src/archives/manifest.ts'
import { findManifest, readEntries } from '../../src/archives/read.ts'
import { type Answered, eventually, type TestApp } from './app.ts'

export const BASE = '/_matrix/media/unstable/admin'

export interface Metadata {
  readonly entity: string
  readonly parts: readonly { readonly index: number; readonly size: number; readonly name: string }[]
  readonly created_ts: number
  readonly finished_ts: number | null
  readonly expires_ts: number | null
  readonly media: number
  readonly left_out: Readonly<Record<string, number>>
}

/** In chunks whose buffer is used again, as those of datastores. */
export async function* pieces(bytes: Buffer): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.alloc(1000)
  for (let at = 0; at < bytes.length; at += buffer.length) {
    const length = bytes.copy(buffer, 0, at)
    yield buffer.subarray(0, length)
    buffer.fill(0)
  }
}

/** A file of an archive with these files in it, in gzip. */
export async function tarOf(
  ...files: readonly (readonly [Partial<Header> & { readonly name: string }, Buffer?])[]
): Promise<Buffer> {
  const tar = pack()
  for (const [header, bytes = Buffer.alloc(0)] of files)
    tar.entry({ ...header, size: header.size ?? bytes.length }, bytes)
  tar.finalize()
  const chunks: Uint8Array[] = []
  for await (const chunk of tar as AsyncIterable<Uint8Array>) chunks.push(chunk)
  return gzipSync(Buffer.concat(chunks))
}

const BLOCK = 512

/** What stands before a file in a tar, without any library. */
export function tarHeader(name: string, size: number): Buffer {
  const header = Buffer.alloc(BLOCK)
  header.write(name, 0)
  header.write('0000644\0', 100)
  header.write(`${size.toString(8).padStart(11, '0')}\0`, 124)
  header.write('00000000000\0', 136)
  header.write('0', 156)
  header.write('ustar\u000000', 257)
  header.write('        ', 148)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return header
}

/** What fills a file's last block in a tar. */
export const tarEnd = (size: number): Buffer => Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK)

/** The files in a file of an archive, by name. */
export async function filesIn(archive: Buffer): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>()
  for await (const { name, bytes } of readEntries(pieces(archive))) {
    const chunks: Uint8Array[] = []
    for await (const chunk of bytes) chunks.push(Buffer.from(chunk))
    found.set(name, Buffer.concat(chunks))
  }
  return found
}

export interface WholeManifest extends ManifestHead {
  readonly media: readonly ManifestMedia[]
}

/** All of a manifest, of a file that has one. */
export async function wholeManifest(file: AsyncIterable<Uint8Array>): Promise<WholeManifest | undefined> {
  const media: ManifestMedia[] = []
  const head = await findManifest(file, (some) => media.push(...some))
  return head && { ...head, media }
}

export const manifestOf = async (archive: Buffer) => await wholeManifest(pieces(archive))
export const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

/** Begins an export and waits for its end; gives its id. */
export async function exported(app: TestApp, entity: string, token: string): Promise<string> {
  const path = entity.startsWith('@') ? `user/${encodeURIComponent(entity)}` : `server/${entity}`
  const { status, json } = await app.ask(`${BASE}/${path}/export`, { method: 'POST', token })
  if (status !== 200) throw new Error(JSON.stringify(json))
  const id = String(json['export_id'])
  await eventually(async () => (await metadataOf(app, id)).finished_ts !== null)
  return id
}

export async function metadataOf(app: TestApp, id: string): Promise<Metadata> {
  const { status, json } = await app.ask(`${BASE}/export/${id}/metadata`)
  if (status !== 200) throw new Error(JSON.stringify(json))
  return json as unknown as Metadata
}

/** All files of an export, in their order. */
export async function download(app: TestApp, id: string): Promise<Buffer[]> {
  const { parts } = await metadataOf(app, id)
  const answers: Answered[] = []
  for (const { index } of parts) answers.push(await app.ask(`${BASE}/export/${id}/part/${index}`))
  return answers.map(({ status, body }) => {
    if (status !== 200) throw new Error(body.toString())
    return body
  })
}

/** Begins an import with the first of some files and adds the others; gives the number of its task. */
export async function uploadArchive(
  app: TestApp,
  [first, ...others]: readonly Buffer[],
  token: string,
): Promise<{ readonly importId: string; readonly taskId: number }> {
  const asked = (body: Buffer | undefined) => ({ method: 'POST', token, ...(body ? { body } : {}) })
  const { status, json } = await app.ask(`${BASE}/import`, asked(first))
  if (status !== 200) throw new Error(JSON.stringify(json))
  const importId = String(json['import_id'])
  for (const file of others) {
    const added = await app.ask(`${BASE}/import/${importId}/part`, asked(file))
    if (added.status !== 200) throw new Error(JSON.stringify(added.json))
  }
  return { importId, taskId: Number(json['task_id']) }
}

export interface EndedTask {
  readonly error_message: string
  readonly progress: Readonly<Record<string, number>>
}

/** Waits for the end of a task. */
export async function ended(app: TestApp, taskId: number, token: string): Promise<EndedTask> {
  const look = async () => (await app.ask(`${BASE}/tasks/${taskId}`, { token })).json
  await eventually(async () => (await look())['is_finished'] === true)
  return (await look()) as unknown as EndedTask
}
