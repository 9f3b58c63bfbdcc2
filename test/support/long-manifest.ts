/** Reads a manifest that is made meanwhile: `node long-manifest.ts FOLDER MEDIA`. A process of its own, so that its memory can be bounded. */
import { Buffer } from 'node:buffer'
import { readManifest } from '../../src/archives/manifest.ts'
import { ArchiveIndex } from '../../src/db/archive-index.ts'

const [, , folder = '', wanted = ''] = process.argv

function member(number: number): string {
  // In no order.
  const id = `media_${(number * 7919) % 1_000_003}`
  const record = {
    name: 'n'.repeat(500),
    file_name: `a.org__${id}.bin`,
    size_bytes: 1,
    origin: 'a.org',
    media_id: id,
    created_ts: number,
    sha256: 'ab'.repeat(32),
  }
  return `${JSON.stringify(`mxc://a.org/${id}`)}:${JSON.stringify(record)}`
}

async function* text(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('{"media":{')
  for (let number = 0; number < Number(wanted); number++)
    yield Buffer.from(`${number === 0 ? '' : ','}${member(number)}`)
  yield Buffer.from('},"version":2,"entity_id":"a.org","created_ts":1}')
}

using index = ArchiveIndex.open(folder)
const { entity } = await readManifest(text(), (media) => index.add(media))
console.log(`${index.media} media of ${entity}`)
