import { DELETE, GET, POST, type Route } from '../route.ts'
import * as changes from './changes.ts'
import * as deletion from './deletion.ts'
import * as mediaInfo from './media-info.ts'
import * as quarantine from './quarantine.ts'
import * as rooms from './rooms.ts'
import * as statistics from './statistics.ts'
import * as users from './user-media.ts'

const synapse = (...paths: readonly string[]) => paths.map((path) => `/_synapse/admin/v1/${path}`)

/**
 * Synapse's media admin API, for panels and moderation bots that speak it (docs/synapse-admin-api.md). Several of these paths begin
 * alike: the router takes a word that stands there before a place for any.
 */
export const synapseRoutes: readonly Route[] = [
  {
    action: 'synapse_room_media',
    methods: GET,
    paths: synapse('room/:roomId/media'),
    who: 'homeserver_admin',
    ...rooms.listRoomMedia,
  },
  {
    action: 'synapse_quarantine_room',
    methods: POST,
    paths: synapse('room/:roomId/media/quarantine', 'quarantine_media/:roomId'),
    who: 'homeserver_admin',
    ...rooms.quarantineRoom,
  },
  {
    action: 'synapse_quarantine_user',
    methods: POST,
    paths: synapse('user/:userId/media/quarantine'),
    who: 'homeserver_admin',
    ...quarantine.quarantineUserMedia,
  },
  {
    action: 'synapse_quarantine_media',
    methods: POST,
    paths: synapse('media/quarantine/:server/:mediaId'),
    who: 'homeserver_admin',
    ...quarantine.quarantineMedia,
  },
  {
    action: 'synapse_release_media',
    methods: POST,
    paths: synapse('media/unquarantine/:server/:mediaId'),
    who: 'homeserver_admin',
    ...quarantine.releaseMedia,
  },
  {
    action: 'synapse_protect_media',
    methods: POST,
    paths: synapse('media/protect/:mediaId'),
    who: 'homeserver_admin',
    ...quarantine.protectMedia,
  },
  {
    action: 'synapse_unprotect_media',
    methods: POST,
    paths: synapse('media/unprotect/:mediaId'),
    who: 'homeserver_admin',
    ...quarantine.unprotectMedia,
  },
  {
    action: 'synapse_quarantine_changes',
    methods: GET,
    paths: synapse('media/quarantine_changes'),
    who: 'homeserver_admin',
    ...changes.listChanges,
  },
  {
    action: 'synapse_user_media',
    methods: GET,
    paths: synapse('users/:userId/media'),
    who: 'homeserver_admin',
    ...users.listUserMedia,
  },
  {
    action: 'synapse_purge_user_media',
    methods: DELETE,
    paths: synapse('users/:userId/media'),
    who: 'homeserver_admin',
    ...users.deleteUserMedia,
  },
  {
    action: 'synapse_purge_old_media',
    methods: POST,
    paths: synapse('media/delete'),
    who: 'homeserver_admin',
    ...deletion.deleteOld,
  },
  {
    action: 'synapse_purge_old_media_of',
    methods: POST,
    paths: synapse('media/:server/delete'),
    who: 'homeserver_admin',
    ...deletion.deleteOldOf,
  },
  {
    action: 'synapse_purge_remote_media',
    methods: POST,
    paths: synapse('purge_media_cache'),
    // It is shared by all homeservers.
    who: 'repository_admin',
    ...deletion.purgeCache,
  },
  {
    action: 'synapse_media_info',
    methods: GET,
    paths: synapse('media/:server/:mediaId'),
    who: 'homeserver_admin',
    ...mediaInfo.getMedia,
  },
  {
    action: 'synapse_purge_media',
    methods: DELETE,
    paths: synapse('media/:server/:mediaId'),
    who: 'homeserver_admin',
    ...deletion.deleteMedia,
  },
  {
    action: 'synapse_users_usage_stats',
    methods: GET,
    paths: synapse('statistics/users/media'),
    who: 'homeserver_admin',
    ...statistics.usersMedia,
  },
]
