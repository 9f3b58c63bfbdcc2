import { Refused } from '../../lib/errors.ts'
import { beginTransfer, estimateTransfer, refuseImpossible } from '../../media/transfer.ts'
import { json } from '../answers.ts'
import { described } from '../described.ts'
import { integer, map, object, string } from '../json-schema.ts'
import { moment, text } from '../parameters.ts'
import { actorOf } from './moderator.ts'

const chapter = 'Datastores'
const estimate = {
  thumbnails_affected: integer('Thumbnails.'),
  thumbnail_hashes_affected: integer('Different contents among them.'),
  thumbnail_bytes: integer('Bytes of these contents.'),
  media_affected: integer('Media.'),
  media_hashes_affected: integer('Different contents among them.'),
  media_bytes: integer('Bytes of these contents.'),
  total_hashes_affected: integer('Different contents in all.'),
  total_bytes: integer('Bytes in all.'),
}
/** MMR's default is the time of the request, which leaves out what is read while it works. Here all of it is meant. */
const query = {
  before_ts: moment({
    description: 'Only what was not read since then, in ms since 1970; all if not given.',
    fallback: null,
  }),
}

/** Those that are configured, by id, in MMR's shape. */
export const list = described(
  {
    summary: 'Lists the configured datastores',
    chapter,
    answer: map(object({ type: string('`file` or `s3`.'), uri: string('A folder, or `s3://ENDPOINT/BUCKET`.') })),
  },
  async ({ datastores }) =>
    json(
      Object.fromEntries(
        [...datastores.all].map((datastore) => [
          datastore.id,
          { type: datastores.typeOf(datastore), uri: datastore.uri },
        ]),
      ),
    ),
)

/** What is in it and was not read since `before_ts` (default: whatever is in it). */
export const sizeEstimate = described(
  {
    summary: 'Says what a transfer out of a datastore would move',
    chapter,
    path: { datastoreId: text({ description: 'Id of the datastore.' }) },
    query,
    answer: object(estimate),
    refusals: ['bad_request'],
  },
  async ({ datastores, db }, call, { path: { datastoreId: source }, query: { before_ts: before } }) => {
    if (!datastores.get(source)) throw new Refused('bad_request', `Datastore ${source} is not configured`)
    return json(await estimateTransfer(db, { source, before }, call.signal))
  },
)

/** What will be moved, and the task that moves it. */
export const transfer = described(
  {
    summary: 'Moves what is in one datastore to another',
    details: 'A task that can be watched and cancelled under `admin/tasks`.',
    chapter,
    path: {
      source: text({ description: 'Id of the datastore to empty.' }),
      target: text({ description: 'Id of the datastore to fill.' }),
    },
    query,
    answer: object({ ...estimate, task_id: integer('Number of the task.') }),
    refusals: ['bad_request'],
  },
  async (parts, call, { path, query: { before_ts: before } }) => {
    const wish = { ...path, before }
    refuseImpossible(parts.datastores, wish)
    const found = await estimateTransfer(parts.db, wish, call.signal)
    return json({ ...found, task_id: await beginTransfer(parts, actorOf(call), wish) })
  },
)
