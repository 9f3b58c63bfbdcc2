import { sql } from 'kysely'
import { ping } from '../db/ping.ts'
import { usageOf } from '../db/usage.ts'
import { Refused } from '../lib/errors.ts'
import { datastoreChecked } from '../lib/events.ts'
import { waitFor } from '../lib/shared-work.ts'
import { VERSION } from '../lib/version.ts'
import { userIdOf } from '../matrix/caller.ts'
import { quotaFor } from '../media/quota.ts'
import { identicon as draw } from '../thumbnails/identicon.ts'
import { type Answer, json, openBuffer } from './answers.ts'
import type { Call } from './call.ts'
import type { HttpParts } from './parts.ts'
import { createHash } from 'node:crypto'

/** `GET config`. Source: specification; storage limits: MSC4034. */
export async function config(_parts: HttpParts, call: Call): Promise<Answer> {
  const { maxBytes, reportedMaxBytes } = call.homeserver.uploads
  const quota = quotaFor(call.homeserver.uploads, userIdOf(call.caller) ?? '')
  return json(
    withoutZeros({
      'm.upload.size': reportedMaxBytes === 0 ? maxBytes : reportedMaxBytes,
      'org.matrix.msc4034.storage.size': quota.maxBytes,
      'org.matrix.msc4034.storage.max_files': quota.maxFiles,
    }),
  )
}

/** `GET usage` of the caller. Source: MSC4034. */
export async function usage(parts: HttpParts, call: Call): Promise<Answer> {
  const { bytes, files } = await usageOf(parts.db.read, `user:${userIdOf(call.caller)}`)
  return json(withoutZeros({ 'org.matrix.msc4034.storage.used': bytes, 'org.matrix.msc4034.storage.files': files }))
}

/** Zero and below mean "no limit" or "nothing", which is said by leaving the member out, as in MMR. */
function withoutZeros(numbers: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(numbers).filter(([, value]) => value > 0))
}

/** `GET version` of this program, in MMR's shape. */
export async function version(): Promise<Answer> {
  return json({ Version: VERSION, GitCommit: 'unknown', unstable_features: {}, server: 'Cellarium' })
}

const SIDE = { default: 96, least: 96, most: 512 }

/** `GET identicon`: a picture for those who have none, from any text. MMR behaviour. */
export async function identicon(_parts: HttpParts, call: Call): Promise<Answer> {
  if (!call.homeserver.identicons.enabled) throw new Refused('not_found', 'Identicons are switched off')
  const width = clamp(call.integer('width', SIDE.default))
  const height = clamp(call.integer('height', width))
  const seed = `/${call.param('*')}`
  const png = draw(seed, { width, height })
  return {
    kind: 'file',
    size: png.length,
    tag: createHash('sha256').update(png).digest('hex'),
    contentType: 'image/png',
    disposition: 'inline',
    fileName: 'identicon.png',
    open: async () => openBuffer(png),
    openRangeBytes: 0,
  }
}

const clamp = (side: number) => Math.min(Math.max(side, SIDE.least), SIDE.most)

const HEALTH_TIMEOUT_MS = 5000

/** `GET healthz`: 200 while requests can be answered. Datastores that are down are named, and do not make it a failure. */
export async function health(parts: HttpParts): Promise<Answer> {
  const datastores = await datastoreStates(parts)
  try {
    const asked = Promise.all([sql`select 1`.execute(parts.db.read), parts.db.write(ping, undefined)])
    await waitFor(asked, AbortSignal.timeout(HEALTH_TIMEOUT_MS))
  } catch (error) {
    parts.log.error({ err: error }, 'the database cannot be used')
    return json({ ok: false, status: 'the database cannot be used', datastores }, 503)
  }
  return json({ ok: true, status: 'Probably not dead', datastores })
}

async function datastoreStates(parts: HttpParts): Promise<Record<string, 'up' | 'down'>> {
  const states = await Promise.all(
    [...parts.datastores.all].map(async (datastore) => {
      const problem = await datastore.check().catch((error: unknown) => error)
      datastoreChecked(parts.events, { datastore: datastore.id, problem })
      return [datastore.id, problem === undefined ? 'up' : 'down'] as const
    }),
  )
  return Object.fromEntries(states)
}
