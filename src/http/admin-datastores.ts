import { Refused } from '../lib/errors.ts'
import { beginTransfer, estimateTransfer, refuseImpossible } from '../media/transfer.ts'
import { type Answer, json } from './answers.ts'
import type { Call } from './call.ts'
import type { HttpParts } from './parts.ts'

/** `GET admin/datastores`: those that are configured, by id, in MMR's shape. */
export async function list(parts: HttpParts): Promise<Answer> {
  const { datastores } = parts
  return json(
    Object.fromEntries(
      [...datastores.all].map((datastore) => [
        datastore.id,
        { type: datastores.typeOf(datastore), uri: datastore.uri },
      ]),
    ),
  )
}

/** `GET admin/datastores/{id}/size_estimate`: what is in it and was not read since `before_ts` (default: whatever is in it). */
export async function sizeEstimate(parts: HttpParts, call: Call): Promise<Answer> {
  const source = call.param('datastoreId')
  if (!parts.datastores.get(source)) throw new Refused('bad_request', `Datastore ${source} is not configured`)
  return json(await estimateTransfer(parts.db, { source, before: before(call) }, call.signal))
}

/** `POST admin/datastores/{source}/transfer_to/{target}`: what will be moved, and the task that moves it. */
export async function transfer(parts: HttpParts, call: Call): Promise<Answer> {
  const wish = { source: call.param('source'), target: call.param('target'), before: before(call) }
  refuseImpossible(parts.datastores, wish)
  const estimate = await estimateTransfer(parts.db, wish, call.signal)
  return json({ ...estimate, task_id: await beginTransfer(parts, wish) })
}

/** MMR's default is the time of the request, which leaves out what is read while it works. Here all of it is meant. */
function before(call: Call): number | null {
  return call.query.get('before_ts') ? call.integer('before_ts', 0) : null
}
