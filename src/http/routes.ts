import * as account from './account.ts'
import * as datastores from './admin-datastores.ts'
import { test as testFederation } from './admin-federation.ts'
import * as previews from './admin-previews.ts'
import * as tasks from './admin-tasks.ts'
import type { Answer } from './answers.ts'
import type { Who } from './auth.ts'
import type { Call } from './call.ts'
import * as media from './download.ts'
import { toServers } from './federation.ts'
import { info } from './info.ts'
import * as information from './information.ts'
import * as moderation from './moderation.ts'
import type { HttpParts } from './parts.ts'
import { previewUrl } from './preview.ts'
import * as uploads from './upload.ts'

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE'

export interface Route {
  /** What metrics and logs call it: MMR's names. */
  readonly action: string
  readonly methods: readonly Method[]
  readonly paths: readonly string[]
  readonly who: Who
  readonly handler: (parts: HttpParts, call: Call) => Promise<Answer>
  /** Answers whatever the Host is, also one that is not configured. */
  readonly anyHost?: true
}

const GET: readonly Method[] = ['GET']
const GET_HEAD: readonly Method[] = ['GET', 'HEAD']
const POST: readonly Method[] = ['POST']
const PUT: readonly Method[] = ['PUT']
const DELETE: readonly Method[] = ['DELETE']

/** `_matrix/media/r0|v1|v3/…`: clients, homeservers and their e-mails still use every one of them. */
const legacy = (...paths: readonly string[]) =>
  paths.flatMap((path) => ['r0', 'v1', 'v3'].map((version) => `/_matrix/media/${version}/${path}`))
const client = (...paths: readonly string[]) => paths.map((path) => `/_matrix/client/v1/media/${path}`)
/** MMR's own endpoints, under both of its prefixes. */
const own = (...paths: readonly string[]) =>
  paths.flatMap((path) => ['', 'io.t2bot.media/'].map((prefix) => `/_matrix/media/unstable/${prefix}${path}`))
const federation = (path: string) => [`/_matrix/federation/v1/media/${path}`]
const session = (path: string) => ['r0', 'v1', 'v3'].map((version) => `/_matrix/client/${version}/${path}`)

const DOWNLOAD = ['download/:server/:mediaId', 'download/:server/:mediaId/:fileName'] as const
const THUMBNAIL = 'thumbnail/:server/:mediaId'
const USAGE = '/_matrix/media/unstable/org.matrix.msc4034/usage'

/** The whole API on one screen. What a path has for one method only answers 405 to the others, and 204 to OPTIONS. */
export const routes: readonly Route[] = [
  { action: 'upload', methods: POST, paths: legacy('upload'), who: 'user', handler: uploads.upload },
  { action: 'create', methods: POST, paths: ['/_matrix/media/v1/create'], who: 'user', handler: uploads.create },
  {
    action: 'upload_async',
    methods: PUT,
    paths: legacy('upload/:server/:mediaId'),
    who: 'user',
    handler: uploads.fill,
  },
  {
    action: 'download',
    methods: GET_HEAD,
    paths: client(...DOWNLOAD),
    who: 'user_or_guest',
    handler: media.download('client'),
  },
  {
    action: 'download',
    methods: GET_HEAD,
    paths: legacy(...DOWNLOAD),
    who: 'optional',
    handler: media.download('legacy'),
  },
  {
    action: 'thumbnail',
    methods: GET_HEAD,
    paths: client(THUMBNAIL),
    who: 'user_or_guest',
    handler: media.thumbnail('client'),
  },
  {
    action: 'thumbnail',
    methods: GET_HEAD,
    paths: legacy(THUMBNAIL),
    who: 'optional',
    handler: media.thumbnail('legacy'),
  },
  {
    action: 'download',
    methods: GET,
    paths: federation('download/:mediaId'),
    who: 'server',
    handler: toServers(media.download('federation')),
  },
  {
    action: 'thumbnail',
    methods: GET,
    paths: federation('thumbnail/:mediaId'),
    who: 'server',
    handler: toServers(media.thumbnail('federation')),
  },
  {
    action: 'info',
    methods: GET,
    paths: own('info/:server/:mediaId'),
    who: 'user',
    handler: info,
  },
  {
    action: 'quarantine_media',
    methods: POST,
    paths: own('admin/quarantine/:server/:mediaId'),
    who: 'user',
    handler: moderation.quarantineMedia,
  },
  {
    action: 'release_media',
    methods: DELETE,
    paths: own('admin/quarantine/:server/:mediaId'),
    who: 'user',
    handler: moderation.releaseMedia,
  },
  {
    action: 'purge_individual_media',
    methods: POST,
    paths: own('admin/purge/:server/:mediaId'),
    who: 'user',
    handler: moderation.purgeMedia,
  },
  {
    action: 'purge_individual_media',
    methods: DELETE,
    paths: own('download/:server/:mediaId'),
    who: 'user',
    handler: moderation.purgeMedia,
  },
  {
    action: 'config',
    methods: GET,
    paths: [...client('config'), ...legacy('config')],
    who: 'user',
    handler: information.config,
  },
  {
    action: 'url_preview',
    methods: GET,
    paths: [...client('preview_url'), ...legacy('preview_url')],
    who: 'user',
    handler: previewUrl,
  },
  { action: 'usage', methods: GET, paths: [USAGE], who: 'user', handler: information.usage },
  {
    action: 'identicon',
    methods: GET_HEAD,
    paths: legacy('identicon/*'),
    who: 'anyone',
    handler: information.identicon,
  },
  { action: 'logout', methods: POST, paths: session('logout'), who: 'anyone', handler: account.logout },
  { action: 'logout_all', methods: POST, paths: session('logout/all'), who: 'anyone', handler: account.logoutAll },
  {
    action: 'client_versions',
    methods: GET,
    paths: ['/_matrix/client/versions'],
    who: 'anyone',
    handler: account.versions,
  },
  {
    action: 'get_version',
    methods: GET,
    paths: ['/_matrix/media/version'],
    who: 'anyone',
    handler: information.version,
  },
  {
    action: 'healthz',
    methods: GET_HEAD,
    paths: ['/healthz'],
    who: 'anyone',
    handler: information.health,
    anyHost: true,
  },
  {
    action: 'list_datastores',
    methods: GET,
    paths: own('admin/datastores'),
    who: 'repository_admin',
    handler: datastores.list,
  },
  {
    action: 'get_storage_estimate',
    methods: GET,
    paths: own('admin/datastores/:datastoreId/size_estimate'),
    who: 'repository_admin',
    handler: datastores.sizeEstimate,
  },
  {
    action: 'datastore_transfer',
    methods: POST,
    paths: own('admin/datastores/:source/transfer_to/:target'),
    who: 'repository_admin',
    handler: datastores.transfer,
  },
  {
    action: 'list_all_background_tasks',
    methods: GET,
    paths: own('admin/tasks/all'),
    who: 'repository_admin',
    handler: tasks.listAll,
  },
  {
    action: 'list_unfinished_background_tasks',
    methods: GET,
    paths: own('admin/tasks/unfinished'),
    who: 'repository_admin',
    handler: tasks.listUnfinished,
  },
  {
    action: 'get_background_task',
    methods: GET,
    paths: own('admin/tasks/:taskId'),
    who: 'repository_admin',
    handler: tasks.get,
  },
  {
    action: 'cancel_background_task',
    methods: DELETE,
    paths: own('admin/tasks/:taskId'),
    who: 'repository_admin',
    handler: tasks.cancel,
  },
  {
    action: 'list_previews',
    methods: GET,
    paths: own('admin/previews'),
    who: 'repository_admin',
    handler: previews.list,
  },
  {
    action: 'purge_previews',
    methods: DELETE,
    paths: own('admin/previews'),
    who: 'repository_admin',
    handler: previews.purge,
  },
  {
    action: 'federation_test',
    methods: GET,
    paths: own('admin/federation/test/:serverName'),
    who: 'repository_admin',
    handler: testFederation,
  },
]
