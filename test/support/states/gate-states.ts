/** Rows of the table: what gates say of a file. */
import { appendFile, writeFile } from 'node:fs/promises'
import sharp from 'sharp'
import { pdqOf } from '../../../src/thumbnails/pdq.ts'
import { EICAR } from '../clamd.ts'
import { NOT_TAKEN } from './again.ts'
import { sha256 } from './pair.ts'
import { NOT_THERE, OF_ANOTHER, type State, TO_ALL, TO_NOBODY } from './row.ts'
import { type Scene, untilListed, untilRefused } from './scene.ts'

/** Refused again and again; nothing is kept of it. */
const KEPT_OUT = { ...NOT_THERE, again: NOT_TAKEN }

type HashList = 'reject' | 'quarantine'
const lines = (contents: readonly Buffer[]) => contents.map((content) => `${sha256(content)}\n`).join('')
const listed = (scene: Scene, list: HashList) =>
  untilListed(scene, (markers) => appendFile(scene.pair.lists[list], lines([scene.subject.bytes, ...markers])))
/** Takes everything off a list. */
const unlisted = (scene: Scene, list: HashList) =>
  untilListed(scene, (markers) => writeFile(scene.pair.lists[list], lines(markers)))
const upload = ({ ask, subject, uploader }: Scene) =>
  ask({ path: '/_matrix/media/v3/upload', method: 'POST', token: uploader.token, body: subject.bytes })

export const JUDGED: readonly State[] = [
  { state: 'let through by all gates', of: 'upload', reach: async () => {}, ...TO_ALL },
  {
    state: 'let through by a hook',
    of: 'remote',
    before: 'not asked for',
    reach: async ({ pair, subject }) => pair.judge.verdicts.set(sha256(subject.bytes), 'allow'),
    ...OF_ANOTHER,
  },
  {
    state: 'reported by a hook',
    of: 'remote',
    before: 'not asked for',
    reach: async ({ pair, subject }) => pair.judge.verdicts.set(sha256(subject.bytes), 'report'),
    ...OF_ANOTHER,
  },
  {
    state: 'quarantined by a hook',
    of: 'remote',
    before: 'not asked for',
    reach: async ({ pair, subject, there, uploader }) => {
      pair.judge.verdicts.set(sha256(subject.bytes), 'quarantine')
      await there.ask({ path: `/_matrix/client/v1/media/download/${subject.media}`, token: uploader.token })
    },
    ...TO_NOBODY,
  },
  {
    state: 'quarantined by a hook under another name, once it was here',
    of: 'upload',
    reach: async (scene) => {
      scene.pair.judge.verdicts.set(sha256(scene.subject.bytes), 'quarantine')
      await upload(scene)
    },
    ...TO_NOBODY,
  },
  {
    state: 'quarantined by a hook, and released, which the hook does not mind',
    of: 'upload',
    reach: async (scene) => {
      const { pair, subject, admin } = scene
      pair.judge.verdicts.set(sha256(subject.bytes), 'quarantine')
      await upload(scene)
      pair.judge.verdicts.delete(sha256(subject.bytes))
      await admin('DELETE', `quarantine/${subject.media}`)
    },
    ...TO_ALL,
  },
  {
    state: 'rejected by a hook',
    of: 'remote',
    before: 'not asked for',
    reach: async ({ pair, subject }) => pair.judge.verdicts.set(sha256(subject.bytes), 'reject'),
    ...KEPT_OUT,
  },
  // What is here is not judged again.
  {
    state: 'rejected by a hook, once it was here',
    of: 'upload',
    reach: async (scene) => {
      scene.pair.judge.verdicts.set(sha256(scene.subject.bytes), 'reject')
      await upload(scene)
    },
    ...TO_ALL,
    again: NOT_TAKEN,
  },
  {
    state: 'quarantined by clamd',
    of: 'remote',
    bytes: async () => EICAR,
    before: 'not asked for',
    reach: async ({ here, subject, uploader }) =>
      here.ask({ path: `/_matrix/client/v1/media/download/${subject.media}`, token: uploader.token }),
    // It is no picture: administrators see the file, and that there is no thumbnail.
    ...TO_NOBODY,
    isNoPicture: true,
  },
  {
    state: 'quarantined because it looks like a known picture',
    of: 'remote',
    bytes: async () => (await wave(1)).png,
    before: 'not asked for',
    reach: async ({ pair, here, subject, uploader }) => {
      const pictures = await Promise.all([wave(1), wave(3), wave(5)])
      await appendFile(pair.lists.pictures, pictures.map(({ hash }) => `${hash}\n`).join(''))
      await untilRefused(
        pair,
        pictures.slice(1).map(({ png }) => png),
      )
      await here.ask({ path: `/_matrix/client/v1/media/download/${subject.media}`, token: uploader.token })
    },
    ...TO_NOBODY,
  },
  // What is here is not judged again.
  {
    state: 'on a list of hashes',
    of: 'upload',
    reach: (scene) => listed(scene, 'reject'),
    ...TO_ALL,
    again: NOT_TAKEN,
  },
  {
    state: 'on a list of hashes',
    of: 'remote',
    before: 'not asked for',
    reach: (scene) => listed(scene, 'reject'),
    ...KEPT_OUT,
  },
  {
    state: 'on a list of hashes, and taken off it',
    of: 'upload',
    reach: async (scene) => [await listed(scene, 'reject'), await unlisted(scene, 'reject')],
    ...TO_ALL,
  },
  {
    state: 'on a list whose files are quarantined, and sent again',
    of: 'upload',
    reach: async (scene) => [await listed(scene, 'quarantine'), await upload(scene)],
    ...TO_NOBODY,
  },
  {
    state: 'on a list whose files are quarantined, sent again, and taken off it',
    of: 'upload',
    reach: async (scene) => [
      await listed(scene, 'quarantine'),
      await upload(scene),
      await unlisted(scene, 'quarantine'),
    ],
    ...TO_NOBODY,
  },
]

/** A picture with something to be seen in it, another one for each seed, and its PDQ hash. */
async function wave(seed: number): Promise<{ readonly png: Buffer; readonly hash: string }> {
  const [width, height] = [400, 300]
  const data = Buffer.alloc(width * height * 3)
  for (let at = 0; at < width * height; at++) {
    const [x, y] = [at % width, Math.floor(at / width)]
    const height01 = Math.sin((x * (1 + seed) + y * 2.3) / 40) * Math.cos((y * (1.5 + seed) - x) / 55)
    data.fill(127 + 127 * height01, at * 3, at * 3 + 3)
  }
  const raw = sharp(data, { raw: { width, height, channels: 3 } })
  return { png: await raw.png().toBuffer(), hash: pdqOf({ data, width, height }).hash }
}
