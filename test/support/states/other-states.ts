/** Rows of the table: what comes about without anybody deciding about these media. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { findMedia } from '../../../src/db/media.ts'
import { markLost } from '../../../src/db/object-care.ts'
import { announceChanged } from '../../../src/media/records.ts'
import type { Retention } from '../../../src/media/retention-rules.ts'
import { retentionJobs } from '../../../src/tasks/retention.ts'
import { DAY_MS, FOR_EVER, never } from '../retention.ts'
import { NOT_TAKEN, TAKEN } from './again.ts'
import { refusal, SERVED } from './paths.ts'
import { GONE, NOT_THERE, OF_ANOTHER, REFUSED, type State, TO_ALL, TO_NOBODY, told } from './row.ts'
import type { Scene } from './scene.ts'

const NOT_YET = '504 M_NOT_YET_UPLOADED'
const mediaIdOf = ({ subject }: Scene) => subject.media.split('/')[1]

export const OTHERS: readonly State[] = [
  {
    state: 'waiting for its upload',
    of: 'reserved',
    before: told(NOT_YET, NOT_YET, NOT_YET, NOT_YET),
    reach: async () => {},
    told: told(NOT_YET, NOT_YET, NOT_YET, NOT_YET),
    noted: GONE,
    again: TAKEN,
    after: async (scene) => expect(await put(scene)).toBe('200'),
    deleted: ['200', GONE],
  },
  {
    state: 'never uploaded in time',
    of: 'reserved',
    before: told(NOT_YET, NOT_YET, NOT_YET, NOT_YET),
    reach: (scene) =>
      scene.pair.query('UPDATE pending_media SET expires_at = 1 WHERE media_id = $1', [mediaIdOf(scene)]),
    ...NOT_THERE,
    after: async (scene) => expect(await put(scene)).toBe(GONE),
  },
  {
    state: 'deleted, so that its id never names anything else',
    of: 'reserved',
    before: 'not asked for',
    reach: async (scene) => {
      expect(await put(scene)).toBe('200')
      await scene.admin('POST', `purge/${scene.subject.media}`)
    },
    ...NOT_THERE,
    after: async (scene) => expect(await put(scene)).toBe(GONE),
  },

  {
    state: 'frozen: uploaded while freezeUnauthenticatedMedia was on',
    of: 'reserved',
    before: 'not asked for',
    reach: async (scene) => whileFreezing(scene, async () => expect(await put(scene)).toBe('200')),
    ...TO_ALL,
    told: told(SERVED, GONE, SERVED, SERVED),
  },
  {
    state: 'frozen: fetched while freezeUnauthenticatedMedia was on',
    of: 'remote',
    before: 'not asked for',
    reach: (scene) =>
      whileFreezing(scene, () =>
        scene.ask({ path: `/_matrix/client/v1/media/download/${scene.subject.media}`, token: scene.uploader.token }),
      ),
    ...OF_ANOTHER,
    told: told(SERVED, GONE, GONE, SERVED),
  },
  {
    state: 'frozen, and quarantined',
    of: 'reserved',
    before: 'not asked for',
    reach: async (scene) => {
      await whileFreezing(scene, () => put(scene))
      await scene.admin('POST', `quarantine/${scene.subject.media}`)
    },
    ...TO_NOBODY,
  },

  {
    state: 'of an ignored host',
    of: 'remote',
    reach: ({ pair }) => pair.reload({ federation: { disallowedNetworks: [], ignoredHosts: [pair.remote.name] } }),
    // Administrators of the repository see such hosts; the host itself gets nothing of ours.
    ...OF_ANOTHER,
    told: told(GONE, GONE, REFUSED, SERVED),
    again: { ...TAKEN, remote: GONE },
    deleted: ['200', GONE],
    restore: ({ pair }) => pair.reload(),
  },

  {
    state: 'lost: its file is gone',
    of: 'upload',
    before: 'not asked for',
    reach: lose,
    ...NOT_THERE,
    noted: 'known',
    // The bytes are there again then.
    after: async (scene) => expect(await get(scene)).toBe(SERVED),
  },
  {
    state: 'lost in quarantine, which the same bytes do not heal',
    of: 'upload',
    before: 'not asked for',
    reach: async (scene) => [await scene.admin('POST', `quarantine/${scene.subject.media}`), await lose(scene)],
    ...NOT_THERE,
    noted: 'quarantined',
    again: NOT_TAKEN,
  },
  { state: 'lost: its file is gone, and can be fetched again', of: 'remote', reach: lose, ...OF_ANOTHER },

  { state: 'expired', of: 'upload', reach: (scene) => expire(scene), ...NOT_THERE },
  // Fetched again.
  { state: 'expired', of: 'remote', reach: (scene) => expire(scene), ...OF_ANOTHER },
  {
    state: 'quarantined, which keeps it from expiring',
    of: 'remote',
    reach: async (scene) => [await scene.admin('POST', `quarantine/${scene.subject.media}`), await expire(scene)],
    ...TO_NOBODY,
  },
]

/** Uploads to the id that is the row's. */
async function put({ ask, subject, uploader }: Scene): Promise<string> {
  const path = `/_matrix/media/v3/upload/${subject.media}`
  const answer = await ask({ path, method: 'PUT', token: uploader.token, body: subject.bytes })
  return answer.status === 200 ? '200' : refusal(answer)
}

async function get({ ask, subject, uploader }: Scene): Promise<string> {
  const answer = await ask({ path: `/_matrix/client/v1/media/download/${subject.media}`, token: uploader.token })
  return answer.body.equals(subject.bytes) ? SERVED : refusal(answer)
}

async function whileFreezing({ pair }: Scene, work: () => Promise<unknown>): Promise<void> {
  await pair.reload({ repo: { freezeUnauthenticatedMedia: true } })
  await work()
  await pair.reload()
}

/** Deletes its file, as a disk does, and marks it, as `datastores check --repair` does. */
async function lose({ pair, subject }: Scene): Promise<void> {
  const tools = await pair.tools()
  const [origin = '', mediaId = ''] = subject.media.split('/')
  const record = await findMedia(tools.db.read, origin, mediaId)
  if (!record) throw new Error(`${subject.media} is not here`)
  const { sha256, datastore, location } = record
  await rm(join(pair.mediaFolder, location))
  await tools.db.write(markLost, { sha256, datastore, location, now: pair.clock.now(), damaged: false })
  await announceChanged(tools.notifier, [sha256])
}

/** Lets forty days pass, and runs what removes media that nobody has used for thirty. */
async function expire({ pair }: Scene): Promise<void> {
  pair.clock.wait(40 * DAY_MS)
  const tools = await pair.tools()
  const turn = { lease: { name: 'none', token: 'none' }, signal: never, last: undefined }
  for (const job of retentionJobs({ ...tools, clock: pair.clock }, () => THIRTY_DAYS)) await job.run(turn)
}

const RULE = { olderThanDays: 30, largerThanBytes: 0, types: [], users: [], servers: [] }
const THIRTY_DAYS: Retention = { ...FOR_EVER, remoteDays: 30, local: [RULE] }
