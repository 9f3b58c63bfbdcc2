import { addToImport, beginImport, closeImport } from '../../media/exports/import-order.ts'
import { json } from '../answers.ts'
import type { Call } from '../call.ts'
import { described } from '../described.ts'
import { integer, object, string } from '../json-schema.ts'
import { text } from '../parameters.ts'
import { refuseUnlessEnabled } from './exports.ts'
import { actorOf } from './moderator.ts'

const chapter = 'Imports'
const path = { importId: text({ description: 'The id that the first file got.' }) }
const sends = 'application/octet-stream'

/** MMR's. */
export const start = described(
  {
    summary: 'Begins the import of an archive with one of its files',
    details:
      'Any of them may come first. The archive is imported once all that its manifest names is there, or the import is closed. Needs `archiving.enabled`.',
    chapter,
    sends,
    answer: object({
      import_id: string('For the other files.'),
      task_id: integer('The task that imports it; its progress says what came of each media.'),
    }),
    refusals: ['bad_request', 'length_mismatch'],
  },
  async (parts, call) => {
    refuseUnlessEnabled(call)
    const { importId, taskId } = await beginImport(parts, received(call))
    return json({ import_id: importId, task_id: taskId })
  },
)

/** MMR's. */
export const append = described(
  {
    summary: 'Adds a file of the archive to an import',
    chapter,
    path,
    sends,
    answer: object({}),
    refusals: ['not_found', 'length_mismatch'],
  },
  async (parts, call, given) => {
    refuseUnlessEnabled(call)
    await addToImport(parts, given.path.importId, received(call))
    return json({})
  },
)

/** MMR's. */
export const close = described(
  {
    summary: 'Says that no more files come: what is there is imported',
    chapter,
    path,
    answer: object({}),
    refusals: ['not_found'],
  },
  async (parts, call, given) => {
    await closeImport(parts, actorOf(call), given.path.importId)
    return json({})
  },
)

function received(call: Call) {
  const length = call.request.headers['content-length']
  return {
    actor: actorOf(call),
    homeserver: call.homeserver,
    body: call.body(),
    expectedBytes: length === undefined ? undefined : Number(length),
  }
}
