import { describe, expect, test } from 'vitest'
import { commitDescription, findDescription } from '../../../src/db/descriptions.ts'
import { commitMedia } from '../../../src/db/media.ts'
import { deleteMedia } from '../../../src/db/deletion.ts'
import { media, NOW, objects, type OpenDatabase } from './support.ts'

const FOUND = {
  contentType: 'image/gif',
  width: 400,
  height: 300,
  animated: true,
  durationMs: 1250,
  blurhash: 'LEHV6nWB2yk8pyo0adR*.7kCMdnj',
  sound: null,
}

export function descriptionsContract(open: OpenDatabase): void {
  describe('What decoding tells of content', () => {
    test('is written down once, in place of what was known before', async () => {
      await using under = await open()
      const { db } = under
      const { sha256 } = await stored(under)
      expect(await findDescription(db.read, sha256)).toBeUndefined()
      await db.write(commitDescription, { sha256, ...FOUND })
      expect(await findDescription(db.read, sha256)).toEqual(FOUND)
      const sound = { channels: 6, samples: 96_000, keySamples: [[0.5, -0.25] as const] }
      const next = { ...FOUND, animated: false, durationMs: null, blurhash: null, sound }
      await db.write(commitDescription, { sha256, ...next })
      expect(await findDescription(db.read, sha256)).toEqual(next)
    })

    test('goes with the content, and of content that is gone nothing is kept', async () => {
      await using under = await open()
      const { db } = under
      const { origin, mediaId, sha256 } = await stored(under)
      await db.write(commitDescription, { sha256, ...FOUND })
      expect(await db.write(deleteMedia, { origin, mediaId, at: NOW })).toMatchObject({ outcome: 'deleted' })
      expect(await objects(db)).toEqual([])
      expect(await findDescription(db.read, sha256)).toBeUndefined()
      await db.write(commitDescription, { sha256, ...FOUND })
      expect(await findDescription(db.read, sha256)).toBeUndefined()
    })
  })
}

async function stored({ db }: Awaited<ReturnType<OpenDatabase>>) {
  const source = media()
  await db.write(commitMedia, source)
  return { origin: source.origin, mediaId: source.mediaId, sha256: source.object.sha256 }
}
