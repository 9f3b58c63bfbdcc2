import { sql } from '#kysely'
import { ping } from '../db/ping.ts'
import { usageOf } from '../db/usage.ts'
import { CallerGone, DatabaseUnavailable, Refused } from '../lib/errors.ts'
import { waitFor } from '../lib/shared-work.ts'
import { VERSION } from '../lib/version.ts'
import { userIdOf } from '../matrix/caller.ts'
import { largestUpload, quotaFor } from '../media/quota.ts'
import { identicon as draw } from '../thumbnails/identicon.ts'
import { asksForPage } from './accept.ts'
import { type Answer, json, openBuffer } from './answers.ts'
import type { Call } from './call.ts'
import type { HttpParts } from './parts.ts'
import { createHash } from 'node:crypto'

/** `GET config`. Source: specification; storage limits: MSC4034. */
export async function config(_parts: HttpParts, call: Call): Promise<Answer> {
  const { maxBytes, reportedMaxBytes } = call.homeserver.uploads
  const quota = quotaFor(call.homeserver.uploads, userIdOf(call.caller) ?? '')
  // What proxies let through, and what the user has room for; below 0 nothing is said.
  const size = reportedMaxBytes < 0 ? undefined : largestUpload(reportedMaxBytes || maxBytes, quota)
  return json({
    ...(size === undefined ? {} : { 'm.upload.size': size }),
    // 0 is a limit here, and has to be told: none is said by leaving it out.
    ...(quota.maxBytes < 0 ? {} : { 'org.matrix.msc4034.storage.size': quota.maxBytes }),
    ...withoutZeros({ 'org.matrix.msc4034.storage.max_files': quota.maxFiles }),
  })
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

/** `GET /`: a page for whoever opens the server's address in a browser. Ours. To programs nothing is there, as in MMR. */
export async function welcome(_parts: HttpParts, { request }: Call): Promise<Answer> {
  if (!asksForPage(request.headers.accept)) throw new Refused('unrecognized', 'Unrecognized request')
  return (await import('./pages.ts')).welcomePage()
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

type DatabaseState = 'up' | 'read-only' | 'down'

const STATUS: Readonly<Record<DatabaseState, string>> = {
  up: 'Probably not dead',
  'read-only': 'the database takes no changes at the moment',
  down: 'the database cannot be used',
}

/**
 * `GET healthz`: 200 while files can be served. Datastores that are down or full are named, as is a database that takes no
 * changes: they do not make it a failure, because a balancer would then stop what still works, on every instance at once.
 * What is wrong is in the log; anybody may ask here.
 */
export async function health(parts: HttpParts): Promise<Answer> {
  const [datastores, database] = await Promise.all([parts.datastores.check(), databaseState(parts)])
  const ok = database !== 'down'
  return json({ ok, status: STATUS[database], database, datastores }, ok ? 200 : 503)
}

async function databaseState({ db, log }: HttpParts): Promise<DatabaseState> {
  const works = async (asked: Promise<unknown>) => {
    try {
      await waitFor(asked, AbortSignal.timeout(HEALTH_TIMEOUT_MS))
      return true
    } catch (error) {
      // Outages are in the log already; one that does not answer is not known as one yet.
      if (error instanceof CallerGone) log.warn({ waitedMs: HEALTH_TIMEOUT_MS }, 'the database does not answer')
      else if (!(error instanceof DatabaseUnavailable)) log.error({ err: error }, 'the database cannot be used')
      return false
    }
  }
  const writes = db.ready().then(() => db.write(ping, undefined))
  const [reads, takesChanges] = await Promise.all([works(sql`select 1`.execute(db.read)), works(writes)])
  if (!reads) return 'down'
  return takesChanges ? 'up' : 'read-only'
}
