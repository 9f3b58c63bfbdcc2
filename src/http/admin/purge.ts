import { described } from '../described.ts'
import { boolean, integer, list, object, string } from '../json-schema.ts'
import { flag, moment, roomId, serverName, userId } from '../parameters.ts'
import { ofRoom, purge, refuseOtherServers, refuseOtherUsers } from './bulk.ts'
import { administratorOf, moderatorOf } from './moderator.ts'

const chapter = 'Purge'
const details =
  'Protected media stay. It goes on for up to 20 seconds, and then as a task; `dry_run` counts and changes nothing.'
const dryRun = flag({ description: 'Only count what would go.', fallback: false })
const madeBefore = moment({ description: 'Only what was made before, in ms since 1970.', fallback: null })
const counts = {
  total_removed: integer('How many media were deleted so far.'),
  is_finished: boolean('Whether that is all.'),
}
const more = {
  bytes_removed: integer('Bytes of their content, each name counted.'),
  kept: integer('Media that stayed: protected, in use again, or not for the caller to delete.'),
  task_id: integer('The task that does the rest, if it is not finished.'),
  dry_run: boolean('Nothing was changed: `files` and `bytes` say what would go.'),
  files: integer('With `dry_run`: how many media.'),
  bytes: integer('With `dry_run`: bytes of their content, each name counted.'),
}
const affected = list(string('An MXC URI.'))
const totals = object(counts, { ...more, affected, purged: boolean('With `dry_run`: false.') })
const names = object({ ...counts, purged: boolean('Whether all of it is done.'), affected }, more)
const wanted = { dry_run: dryRun, before_ts: madeBefore }

/** Other servers' media by last access, as MMR's documentation says (MMR itself goes by when it was fetched). */
export const purgeRemote = described(
  {
    summary: 'Deletes media of other servers that nobody has used since a time',
    details,
    chapter,
    query: { before_ts: moment({ description: 'Not used since, in ms since 1970.' }), dry_run: dryRun },
    example: { dry_run: 'true' },
    answer: totals,
  },
  (parts, call, { query: { before_ts: before, dry_run } }) =>
    purge(parts, call, {
      action: 'purge_remote_media',
      selection: { by: 'last_use', local: false },
      moderator: administratorOf(call),
      before,
      dryRun: dry_run,
      shape: 'total',
    }),
)

export const purgeOld = described(
  {
    summary: 'Deletes media that nobody has used since a time',
    details,
    chapter,
    query: {
      before_ts: moment({ description: 'Not used since, in ms since 1970; now if not given.', fallback: null }),
      include_local: flag({
        description: 'Also media of our own homeservers: these are gone for good.',
        fallback: false,
      }),
      dry_run: dryRun,
    },
    example: { dry_run: 'true' },
    answer: names,
  },
  (parts, call, { query: { before_ts: before, include_local: local, dry_run } }) =>
    purge(parts, call, {
      action: 'purge_old_media',
      selection: { by: 'last_use', local },
      moderator: administratorOf(call),
      before,
      dryRun: dry_run,
      shape: 'affected',
    }),
)

export const purgeQuarantined = described(
  {
    summary: 'Deletes quarantined media; their content stays blocked',
    details,
    chapter,
    query: {
      before_ts: moment({ description: 'Only what was quarantined before, in ms since 1970.', fallback: null }),
      dry_run: dryRun,
    },
    example: { dry_run: 'true' },
    answer: names,
  },
  (parts, call, { query: { before_ts: before, dry_run } }) =>
    purge(parts, call, {
      action: 'purge_quarantined',
      selection: { by: 'quarantine' },
      moderator: administratorOf(call),
      before,
      dryRun: dry_run,
      shape: 'affected',
    }),
)

export const purgeUser = described(
  {
    summary: 'Deletes what a user uploaded',
    details,
    serves: ['owner', 'homeserver'],
    chapter,
    path: { userId: userId({ description: 'The user.' }) },
    query: wanted,
    example: { dry_run: 'true' },
    answer: names,
  },
  async (parts, call, { path, query: { before_ts: before, dry_run } }) => {
    const moderator = await moderatorOf(parts, call, true)
    if (moderator.userId !== path.userId) refuseOtherUsers(moderator, path.userId)
    const selection = { by: 'user', userId: path.userId } as const
    return await purge(parts, call, {
      action: 'purge_user_media',
      selection,
      moderator,
      before,
      dryRun: dry_run,
      shape: 'affected',
    })
  },
)

export const purgeRoom = described(
  {
    summary: 'Deletes the media that the unencrypted events of a room name',
    details: `The homeserver is asked which these are, with the token of the caller: only Synapse can tell. ${details}`,
    chapter,
    path: { roomId: roomId({ description: 'The room.' }) },
    query: wanted,
    example: { dry_run: 'true' },
    answer: names,
    refusals: ['bad_request', 'not_found', 'leads_back'],
  },
  async (parts, call, { path, query: { before_ts: before, dry_run } }) => {
    const selection = await ofRoom(parts, call, path.roomId)
    const moderator = administratorOf(call)
    return await purge(parts, call, {
      action: 'purge_room_media',
      selection,
      moderator,
      before,
      dryRun: dry_run,
      shape: 'affected',
    })
  },
)

export const purgeServer = described(
  {
    summary: 'Deletes all media of a server',
    details,
    chapter,
    path: { serverName: serverName({ description: 'The server.' }) },
    query: wanted,
    example: { dry_run: 'true' },
    answer: names,
  },
  async (parts, call, { path, query: { before_ts: before, dry_run } }) => {
    const moderator = administratorOf(call)
    refuseOtherServers(moderator, path.serverName)
    const selection = { by: 'server', serverName: path.serverName } as const
    return await purge(parts, call, {
      action: 'purge_domain_media',
      selection,
      moderator,
      before,
      dryRun: dry_run,
      shape: 'affected',
    })
  },
)
