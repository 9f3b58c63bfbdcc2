/** An archive of as many media as one likes, made in a second for each fifty thousand. */
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, open, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip, gzipSync } from 'node:zlib'
import { type ArchivedFile, MANIFEST_TAIL, manifestHead, manifestMember } from '../../src/archives/manifest.ts'
import { partName } from '../../src/archives/names.ts'
import { tarEnd, tarHeader } from './archives.ts'

const ENTITY = 'example.org'
const CREATED = 1_600_000_000_000
const IN_PART = 10_000

/** Writes one into `folder`: `rows` media of so many contents, of one user. Their ids are in no order, as those of Synapse. */
export async function writeManyArchived(folder: string, rows: number, contents: number): Promise<void> {
  await mkdir(folder, { recursive: true })
  const hashes = Array.from({ length: contents }, (_, content) => sha256(textOf(content)))
  const unpacked = join(folder, 'manifest.json')
  {
    await using manifest = await open(unpacked, 'w')
    await manifest.writeFile(manifestHead(ENTITY, CREATED))
    for (let first = 0; first < rows; first += IN_PART) {
      const files = Array.from({ length: Math.min(IN_PART, rows - first) }, (_, n) => {
        const content = (first + n) % contents
        return { bytes: Buffer.from(textOf(content)), media: mediaOf(first + n, hashes[content] ?? '') }
      })
      const members = files.map(({ media, bytes }) => manifestMember({ ...media, size: bytes.length }))
      await manifest.writeFile((first === 0 ? '' : ',') + members.join(','))
      const entries = files.flatMap(({ media, bytes }) => [
        tarHeader(media.fileName, bytes.length),
        bytes,
        tarEnd(bytes.length),
      ])
      const part = gzipSync(Buffer.concat([...entries, Buffer.alloc(1024)]), { level: 1 })
      await writeFile(join(folder, partName(first / IN_PART + 1)), part)
    }
    await manifest.writeFile(MANIFEST_TAIL)
  }
  await pipeline(
    manifestTar(unpacked),
    createGzip({ level: 1 }),
    createWriteStream(join(folder, 'export-manifest.tgz')),
  )
  await rm(unpacked)
}

const textOf = (content: number) => `content ${content}`
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

function mediaOf(row: number, hash: string): Omit<ArchivedFile, 'size'> {
  const mediaId = sha256(String(row)).slice(0, 24)
  return {
    origin: ENTITY,
    mediaId,
    uploader: `@alice:${ENTITY}`,
    name: `file ${row}.txt`,
    fileName: `${ENTITY}__${mediaId}.txt`,
    contentType: 'text/plain',
    createdAt: CREATED + row,
    sha256: hash,
    s3Url: '',
  }
}

async function* manifestTar(path: string): AsyncGenerator<Uint8Array> {
  const { size } = await stat(path)
  yield tarHeader('manifest.json', size)
  yield* createReadStream(path) as AsyncIterable<Uint8Array>
  yield Buffer.concat([tarEnd(size), Buffer.alloc(1024)])
}
