/** Rows of the table: what administrators do. */
import { eventually } from '../app.ts'
import { NOT_TAKEN } from './again.ts'
import { ADMIN, LOCAL_ADMIN, type Pair } from './pair.ts'
import { SERVED } from './paths.ts'
import { GONE, NOT_THERE, OF_ANOTHER, REFUSED, type State, TO_ALL, TO_NOBODY } from './row.ts'
import { expectCount, type Scene } from './scene.ts'

const quarantine = ({ admin, subject }: Scene) => admin('POST', `quarantine/${subject.media}`)
const release = ({ admin, subject }: Scene) => admin('DELETE', `quarantine/${subject.media}`)
const purge = ({ admin, subject }: Scene) => admin('POST', `purge/${subject.media}`)
const pin = ({ admin, subject }: Scene) => admin('POST', `media/${subject.media}/attributes`, { purpose: 'pinned' })

export const MODERATED: readonly State[] = [
  { state: 'nothing special', of: 'upload', reach: async () => {}, ...TO_ALL },
  { state: 'nothing special', of: 'remote', reach: async () => {}, ...OF_ANOTHER },
  { state: 'nothing special', of: 'preview', reach: async () => {}, ...TO_ALL },

  {
    state: 'quarantined by its id',
    of: 'upload',
    reach: async (scene) => expectCount(await quarantine(scene), 'num_quarantined', 1),
    ...TO_NOBODY,
  },
  { state: 'quarantined by its id', of: 'preview', reach: quarantine, ...TO_NOBODY },
  {
    state: 'quarantined by its id, as Synapse’s API does it',
    of: 'remote',
    reach: ({ synapse, subject }) => synapse('POST', `media/quarantine/${subject.media}`),
    ...TO_NOBODY,
  },
  {
    state: 'quarantined under the name that the content has on another server',
    of: 'remote',
    reach: async ({ admin, copy }) => admin('POST', `quarantine/${await copy()}`),
    ...TO_NOBODY,
  },
  {
    state: 'quarantined by an administrator of one homeserver, under its names there',
    of: 'remote',
    reach: async ({ ask, copy }) =>
      ask({
        path: `/_matrix/media/unstable/admin/quarantine/${await copy()}`,
        method: 'POST',
        token: LOCAL_ADMIN.token,
      }),
    ...OF_ANOTHER,
    again: NOT_TAKEN,
    // The content is blocked: it does not come back.
    deleted: ['200', GONE],
  },
  {
    state: 'quarantined with all of its uploader',
    of: 'upload',
    reach: async ({ admin, uploader }) =>
      expectCount(await admin('POST', `quarantine/user/${uploader.userId}`), 'num_quarantined', 1),
    ...TO_NOBODY,
  },
  {
    state: 'quarantined with all of its room',
    of: 'remote',
    reach: async ({ pair, admin, subject }) => {
      pair.addRoom('!room:example.org', { local: [], remote: [`mxc://${subject.media}`] })
      expectCount(await admin('POST', 'quarantine/room/!room:example.org'), 'num_quarantined', 1)
    },
    ...TO_NOBODY,
  },
  {
    state: 'quarantined with all of its server',
    of: 'remote',
    reach: ({ pair, admin }) => admin('POST', `quarantine/server/${pair.remote.name}`),
    ...TO_NOBODY,
  },
  { state: 'quarantined by a task that went on with a request', of: 'upload', reach: quarantineByTask, ...TO_NOBODY },
  {
    state: 'quarantined by its report',
    of: 'upload',
    reach: async ({ admin, subject }) => {
      await admin('POST', `report/${subject.media}?reason=bad`)
      const { reports } = await admin('GET', 'reports')
      const [last] = (reports as { readonly report_id: string }[]).slice(-1)
      await admin('POST', `reports/${last?.report_id}/quarantine`)
    },
    ...TO_NOBODY,
  },

  {
    state: 'quarantined and released',
    of: 'upload',
    reach: async (scene) => [await quarantine(scene), await release(scene)],
    ...TO_ALL,
  },
  {
    state: 'quarantined and released with all of its server',
    of: 'remote',
    reach: async ({ pair, admin }) => {
      for (const method of ['POST', 'DELETE']) await admin(method, `quarantine/server/${pair.remote.name}`)
    },
    ...OF_ANOTHER,
  },
  {
    state: 'quarantined and released',
    of: 'preview',
    reach: async (scene) => [await quarantine(scene), await release(scene)],
    ...TO_ALL,
  },

  { state: 'pinned', of: 'upload', reach: pin, ...TO_ALL, noted: 'protected', deleted: [REFUSED, SERVED] },
  {
    state: 'pinned, then quarantined',
    of: 'upload',
    reach: async (scene) => {
      await pin(scene)
      expectCount(await quarantine(scene), 'num_quarantined', 0)
    },
    ...TO_ALL,
    noted: 'protected',
    deleted: [REFUSED, SERVED],
  },
  {
    state: 'protected as Synapse’s API does it, then quarantined under another name',
    of: 'upload',
    reach: async ({ synapse, admin, subject, copy }) => {
      await synapse('POST', `media/protect/${subject.media.split('/')[1]}`)
      expectCount(await admin('POST', `quarantine/${await copy()}`), 'num_quarantined', 1)
    },
    ...TO_ALL,
    noted: 'protected',
    again: NOT_TAKEN,
    deleted: [REFUSED, SERVED],
  },
  {
    state: 'pinned, then purged with all of its uploader',
    of: 'upload',
    reach: async (scene) => {
      await pin(scene)
      expectCount(await scene.admin('POST', `purge/user/${scene.uploader.userId}`), 'kept', 1)
    },
    ...TO_ALL,
    noted: 'protected',
    deleted: [REFUSED, SERVED],
  },

  { state: 'deleted', of: 'upload', reach: purge, ...NOT_THERE },
  { state: 'deleted', of: 'preview', reach: purge, ...NOT_THERE },
  {
    state: 'deleted, as Synapse’s API does it',
    of: 'upload',
    reach: ({ synapse, subject }) => synapse('DELETE', `media/${subject.media}`),
    ...NOT_THERE,
  },
  {
    state: 'deleted, with a copy that somebody else uploaded',
    of: 'upload',
    reach: async (scene) => [await scene.copy(), await purge(scene)],
    ...NOT_THERE,
  },
  {
    state: 'deleted in quarantine',
    of: 'upload',
    reach: async (scene) => [await quarantine(scene), await purge(scene)],
    ...NOT_THERE,
    again: NOT_TAKEN,
  },
  {
    state: 'deleted in quarantine, and released',
    of: 'upload',
    reach: async (scene) => [await quarantine(scene), await purge(scene), await release(scene)],
    ...NOT_THERE,
  },
  {
    state: 'deleted, and quarantined under another name',
    of: 'upload',
    reach: async (scene) => {
      const copy = await scene.copy()
      await purge(scene)
      await scene.admin('POST', `quarantine/${copy}`)
    },
    ...NOT_THERE,
    again: NOT_TAKEN,
  },

  // Fetched again.
  { state: 'purged', of: 'remote', reach: purge, ...OF_ANOTHER },
  {
    state: 'purged in quarantine',
    of: 'remote',
    reach: async (scene) => [await quarantine(scene), await purge(scene)],
    ...NOT_THERE,
    again: NOT_TAKEN,
  },
  {
    state: 'purged in quarantine, and released',
    of: 'remote',
    reach: async (scene) => [await quarantine(scene), await purge(scene), await release(scene)],
    ...OF_ANOTHER,
    noted: 'known',
  },
]

/**
 * Begins to quarantine more of a user's media than one transaction takes, and leaves. The row of a content is locked meanwhile, so
 * that the request is not done before its caller has gone.
 */
async function quarantineByTask({ pair, here, uploader }: Scene): Promise<void> {
  await seed(pair, uploader.userId)
  await using holding = await pair.connect()
  await holding.query('BEGIN')
  await holding.query(`SELECT 1 FROM objects WHERE location LIKE 'seeded%' FOR UPDATE`)
  const path = `/_matrix/media/unstable/admin/quarantine/user/${uploader.userId}`
  await here.askAndLeave({ path, method: 'POST', token: ADMIN.token }, async () => {
    const waiting = `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`
    await eventually(async () => (await pair.query(waiting)).length > 0)
  })
  await holding.query('COMMIT')
  await eventually(async () => (await pair.query(`SELECT 1 FROM tasks WHERE name = 'quarantine_media'`)).length > 0)
  await eventually(async () => (await pair.query('SELECT 1 FROM tasks WHERE ended_at IS NULL')).length === 0, 30_000)
}

/** Older media of the user's than what the row is of: the first page has only these. */
async function seed(pair: Pair, uploader: string): Promise<void> {
  await pair.query(
    `INSERT INTO objects (sha256, size, datastore, location, created_at)
     SELECT $1 || n, 1, 'shared', 'seeded/' || n, 1 FROM generate_series(1, 700) n`,
    [uploader],
  )
  await pair.query(
    `INSERT INTO media (origin, media_id, sha256, kind, content_type, uploader, created_at)
     SELECT 'example.org', 'seeded' || n, $1 || n, 'upload', 'text/plain', $1, 1 FROM generate_series(1, 700) n`,
    [uploader],
  )
}
