import { DELETE, GET, type Method, own, POST, type Route } from '../route.ts'
import * as attributes from './attributes.ts'
import * as purge from './purge.ts'
import * as quarantine from './quarantine.ts'

/** What deployments forward to MMR beside its own prefixes; MMR answers only the `unstable` ones. */
const client = (path: string) =>
  ['r0', 'v1', 'v3', 'unstable', 'unstable/io.t2bot.media'].map((version) => `/_matrix/client/${version}/admin/${path}`)

/** Purge, quarantine and release of many media, and what keeps some from them. */
export const bulkRoutes: readonly Route[] = [
  {
    action: 'purge_remote_media',
    methods: POST,
    paths: [...own('admin/purge/remote', 'admin/purge_remote'), ...client('purge_media_cache')],
    who: 'repository_admin',
    ...purge.purgeRemote,
  },
  {
    action: 'purge_old_media',
    methods: POST,
    paths: own('admin/purge/old'),
    who: 'repository_admin',
    ...purge.purgeOld,
  },
  {
    action: 'purge_quarantined',
    methods: POST,
    paths: own('admin/purge/quarantined'),
    who: 'homeserver_admin',
    ...purge.purgeQuarantined,
  },
  {
    action: 'purge_user_media',
    methods: POST,
    paths: own('admin/purge/user/:userId'),
    who: 'user',
    ...purge.purgeUser,
  },
  {
    action: 'purge_room_media',
    methods: POST,
    paths: own('admin/purge/room/:roomId'),
    who: 'homeserver_admin',
    ...purge.purgeRoom,
  },
  {
    action: 'purge_domain_media',
    methods: POST,
    paths: own('admin/purge/server/:serverName'),
    who: 'homeserver_admin',
    ...purge.purgeServer,
  },
  ...quarantineAndRelease('user', own('admin/quarantine/user/:userId'), quarantine.ofUser),
  ...quarantineAndRelease(
    'room',
    [...own('admin/quarantine/room/:roomId'), ...client('quarantine_media/:roomId')],
    quarantine.ofRooms,
  ),
  ...quarantineAndRelease('domain', own('admin/quarantine/server/:serverName'), quarantine.ofServer),
  ...attributesBy('get_media_attributes', GET, attributes.get),
  ...attributesBy('set_media_attributes', POST, attributes.set),
]

function quarantineAndRelease(
  what: string,
  paths: readonly string[],
  pair: typeof quarantine.ofUser,
): readonly Route[] {
  return [
    { action: `quarantine_${what}`, methods: POST, paths, who: 'homeserver_admin', ...pair.quarantine },
    // It may have been one of them who decided, as for one media.
    { action: `release_${what}`, methods: DELETE, paths, who: 'repository_admin', ...pair.release },
  ]
}

function attributesBy(action: string, methods: readonly Method[], how: typeof attributes.get): readonly Route[] {
  return [{ action, methods, paths: own('admin/media/:server/:mediaId/attributes'), who: 'homeserver_admin', ...how }]
}
