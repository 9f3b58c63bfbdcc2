import { SHOWN_PATH } from '../media/gates/shown-files.ts'
import * as account from './account.ts'
import { adminRoutes } from './admin/routes.ts'
import { json } from './answers.ts'
import { download } from './download.ts'
import { toServers } from './federation.ts'
import { info } from './info.ts'
import * as information from './information.ts'
import { localCopy } from './local-copy.ts'
import { openApi } from './openapi.ts'
import { GET, GET_HEAD, own, POST, PUT, type Route } from './route.ts'
import { synapseRoutes } from './synapse/routes.ts'
import { previewUrl } from './preview.ts'
import { stagedFile } from './staged-file.ts'
import { thumbnail } from './thumbnail.ts'
import * as uploads from './upload.ts'

/** `_matrix/media/r0|v1|v3/…`: clients, homeservers and their e-mails still use every one of them. */
const legacy = (...paths: readonly string[]) =>
  paths.flatMap((path) => ['r0', 'v1', 'v3'].map((version) => `/_matrix/media/${version}/${path}`))
const client = (...paths: readonly string[]) => paths.map((path) => `/_matrix/client/v1/media/${path}`)
const federation = (path: string) => [`/_matrix/federation/v1/media/${path}`]
/** All that proxies send here as logouts: matrix-docker-ansible-deploy's `unstable`, too, which Synapse knows. */
const session = (path: string) => ['r0', 'v1', 'v3', 'unstable'].map((version) => `/_matrix/client/${version}/${path}`)

const DOWNLOAD = ['download/:server/:mediaId', 'download/:server/:mediaId/:fileName'] as const
const THUMBNAIL = 'thumbnail/:server/:mediaId'
const USAGE = '/_matrix/media/unstable/org.matrix.msc4034/usage'

/** The whole API on one screen. What a path has for one method only answers 405 to the others, and 204 to OPTIONS. */
export const routes: readonly Route[] = [
  {
    action: 'upload',
    methods: POST,
    paths: legacy('upload'),
    who: 'user',
    handler: uploads.upload,
    limits: 'caller only',
  },
  {
    action: 'create',
    methods: POST,
    paths: ['/_matrix/media/v1/create'],
    who: 'user',
    handler: uploads.create,
    limits: 'caller only',
  },
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
    handler: download('client'),
  },
  {
    action: 'download',
    methods: GET_HEAD,
    paths: legacy(...DOWNLOAD),
    who: 'optional',
    handler: download('legacy'),
  },
  {
    action: 'thumbnail',
    methods: GET_HEAD,
    paths: client(THUMBNAIL),
    who: 'user_or_guest',
    handler: thumbnail('client'),
  },
  {
    action: 'thumbnail',
    methods: GET_HEAD,
    paths: legacy(THUMBNAIL),
    who: 'optional',
    handler: thumbnail('legacy'),
  },
  {
    action: 'download',
    methods: GET,
    paths: federation('download/:mediaId'),
    who: 'server',
    handler: toServers(download('federation')),
  },
  {
    action: 'thumbnail',
    methods: GET,
    paths: federation('thumbnail/:mediaId'),
    who: 'server',
    handler: toServers(thumbnail('federation')),
  },
  {
    action: 'info',
    methods: GET,
    paths: own('info/:server/:mediaId'),
    who: 'user',
    handler: info,
  },
  {
    action: 'local_copy',
    methods: GET,
    paths: own('local_copy/:server/:mediaId'),
    who: 'user',
    ...localCopy,
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
    action: 'welcome',
    methods: GET_HEAD,
    paths: ['/'],
    who: 'anyone',
    handler: information.welcome,
    anyHost: true,
  },
  {
    action: 'healthz',
    methods: GET_HEAD,
    paths: ['/healthz'],
    who: 'anyone',
    handler: information.health,
    limits: 'none',
    anyHost: true,
  },
  {
    action: 'staged_file',
    methods: GET,
    paths: [`${SHOWN_PATH}/:token`],
    who: 'anyone',
    handler: stagedFile,
    anyHost: true,
  },
  ...adminRoutes,
  ...synapseRoutes,
  {
    action: 'openapi',
    methods: GET,
    paths: own('admin/openapi.json'),
    who: 'anyone',
    handler: async () => json(openApi(routes)),
    anyHost: true,
  },
]
