import type { ArchivePart } from '../../db/exports.ts'
import { exportParts } from '../../db/exports.ts'
import { countExported, isQuarantinedPart } from '../../db/export-media.ts'
import { ObjectMissing } from '../../datastores/datastore.ts'
import { Refused } from '../../lib/errors.ts'
import { exportOf, orderDeletion, orderExport, serverOfEntity } from '../../media/exports/order.ts'
import { type Answer, json } from '../answers.ts'
import type { Call } from '../call.ts'
import { described } from '../described.ts'
import { integer, list, map, object, orNull, string } from '../json-schema.ts'
import { serverName, text, userId, whole } from '../parameters.ts'
import type { HttpParts } from '../parts.ts'
import { actorOf, moderatorOf } from './moderator.ts'

const chapter = 'Exports'
/** The id is the secret: MMR's, so that whoever was sent the link may have the archive. */
export const exportPath = { exportId: text({ description: 'The id of the export; whoever knows it may have it.' }) }

const query = {
  s3_urls: text({
    description:
      '`false`: the archive does not say where buckets have the files. Anything else is as if it were not given.',
    fallback: 'true',
  }),
}
const begun = object({
  export_id: string('By which whoever knows it may have the archive; nobody can guess it.'),
  task_id: integer('The task that makes it.'),
})
const details =
  'Needs `archiving.enabled`. Users, for what they uploaded, and administrators of the homeserver, for its media, only with `archiving.selfService`.'
const serves = ['owner by self-service', 'homeserver by self-service'] as const

/** MMR's. */
export const ofUser = described(
  {
    summary: 'Exports all that a user uploaded, as an archive',
    details,
    chapter,
    path: { userId: userId({ description: 'Whose uploads.' }) },
    query,
    answer: begun,
    serves,
  },
  (parts, call, given) => begin(parts, call, given.path.userId, given.query.s3_urls),
)

/** MMR's. */
export const ofServer = described(
  {
    summary: 'Exports all media of a server, as an archive',
    details,
    chapter,
    path: { serverName: serverName({ description: 'Whose media; of another server, the copies that are here.' }) },
    query,
    answer: begun,
    serves: ['homeserver by self-service'],
  },
  (parts, call, given) => begin(parts, call, given.path.serverName, given.query.s3_urls),
)

async function begin(parts: HttpParts, call: Call, entity: string, s3Urls: string): Promise<Answer> {
  const { archiving, name } = call.homeserver
  const { userId: caller, everywhere, serverName: administered } = await moderatorOf(parts, call, archiving.selfService)
  const isOwn = archiving.selfService && (entity === caller || serverOfEntity(entity) === administered)
  if (!everywhere && !isOwn) {
    throw new Refused(
      'forbidden',
      `Only administrators may export that of ${entity}, as ${name} is configured (archiving)`,
    )
  }
  refuseUnlessEnabled(call)
  const order = { entity, withS3Urls: s3Urls !== 'false', keptDays: archiving.keepDays }
  const { exportId, taskId } = await orderExport(parts, actorOf(call), order)
  return json({ export_id: exportId, task_id: taskId })
}

/** As MMR says it. */
export function refuseUnlessEnabled({ homeserver }: Call): void {
  if (!homeserver.archiving.enabled) throw new Refused('bad_request', 'archiving is not enabled')
}

/** MMR's, with more of our own. */
export const metadata = described(
  {
    summary: 'Shows what files an export has so far',
    chapter,
    path: exportPath,
    answer: object({
      entity: string('A user id or a server name.'),
      parts: list(
        object({
          index: integer('Its number, for its download.'),
          size: integer('Its bytes.'),
          name: string('Its name. The last one is `export-manifest.tgz`.'),
        }),
      ),
      created_ts: integer('When it was begun.'),
      finished_ts: orNull(integer('When it was finished; null: more files come.')),
      expires_ts: orNull(integer('When it will be deleted (`archiving.keepDays`); null: never.')),
      media: integer('How many media it has so far.'),
      left_out: map(integer('How many media it does not have, by why: `quarantined`, `missing`, `damaged`.')),
    }),
    refusals: ['not_found'],
  },
  async (parts, _, { path: { exportId } }) => {
    const found = await exportOf(parts, exportId)
    const [files, counts] = await Promise.all([
      exportParts(parts.db.read, exportId),
      countExported(parts.db.read, exportId),
    ])
    return json({
      entity: found.entity,
      parts: files.map(({ part, size, fileName }) => ({ index: part, size, name: fileName })),
      created_ts: found.createdAt,
      finished_ts: found.finishedAt,
      expires_ts: found.expiresAt,
      media: counts.get('') ?? 0,
      left_out: Object.fromEntries([...counts].filter(([why]) => why !== '')),
    })
  },
)

/** MMR's. */
export const part = described(
  {
    summary: 'Downloads a file of an export',
    details: 'Refused where something in it was quarantined since: a new export leaves that out.',
    chapter,
    path: { ...exportPath, part: whole({ description: 'Its number.', min: 1, max: 1_000_000 }) },
    answer: { type: 'string', description: 'the file.' },
    answerType: 'application/gzip',
    refusals: ['not_found', 'quarantined', 'range_not_satisfiable'],
  },
  async (parts, _, { path: { exportId, part } }) => {
    await exportOf(parts, exportId)
    const file = (await exportParts(parts.db.read, exportId)).find((one) => one.part === part)
    if (!file) throw new Refused('not_found', 'There is no such file in the export')
    if (await isQuarantinedPart(parts.db.read, exportId, part)) {
      throw new Refused('quarantined', 'Something in this file was quarantined since: make a new export')
    }
    return fileAnswer(parts, file)
  },
)

function fileAnswer({ datastores }: HttpParts, file: ArchivePart): Answer {
  return {
    kind: 'file',
    size: file.size,
    tag: file.sha256,
    contentType: 'application/gzip',
    disposition: 'attachment',
    fileName: file.fileName,
    cacheControl: 'no-store',
    open: async (range) => {
      const datastore = datastores.get(file.datastore)
      if (!datastore) throw new ObjectMissing(file.datastore, file.location)
      return await datastore.open(file.location, range)
    },
    openRangeBytes: 0,
  }
}

/** MMR's. */
export const remove = described(
  {
    summary: 'Deletes an export',
    chapter,
    path: exportPath,
    answer: object({}),
    refusals: ['not_found'],
  },
  async (parts, call, { path: { exportId } }) => {
    await orderDeletion(parts, actorOf(call), exportId)
    return json({})
  },
)
