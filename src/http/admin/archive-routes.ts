import { DELETE, GET, GET_HEAD, own, POST, type Route } from '../route.ts'
import * as imports from './archive-imports.ts'
import * as view from './export-view.ts'
import * as exports from './exports.ts'

/** Exports and imports of archives, as MMR has them. */
export const archiveRoutes: readonly Route[] = [
  {
    action: 'export_user_data',
    methods: POST,
    paths: own('admin/user/:userId/export'),
    who: 'user',
    ...exports.ofUser,
  },
  {
    action: 'export_server_data',
    methods: POST,
    paths: own('admin/server/:serverName/export'),
    who: 'user',
    ...exports.ofServer,
  },
  {
    action: 'view_export',
    methods: GET,
    paths: own('admin/export/:exportId/view'),
    who: 'anyone',
    ...view.view,
    forPeople: true,
  },
  {
    action: 'get_export_metadata',
    methods: GET,
    paths: own('admin/export/:exportId/metadata'),
    who: 'anyone',
    ...exports.metadata,
  },
  {
    action: 'download_export_part',
    methods: GET_HEAD,
    paths: own('admin/export/:exportId/part/:part'),
    who: 'anyone',
    ...exports.part,
    forPeople: true,
  },
  {
    action: 'download_export_file',
    methods: GET_HEAD,
    paths: own('admin/export/:exportId/file/:number'),
    who: 'anyone',
    ...view.file,
    forPeople: true,
  },
  {
    action: 'download_export_picture',
    methods: GET_HEAD,
    paths: own('admin/export/:exportId/file/:number/picture'),
    who: 'anyone',
    ...view.picture,
  },
  { action: 'delete_export', methods: DELETE, paths: own('admin/export/:exportId'), who: 'anyone', ...exports.remove },
  {
    action: 'delete_export',
    methods: POST,
    paths: own('admin/export/:exportId/delete'),
    who: 'anyone',
    ...view.removeFromPage,
    forPeople: true,
  },
  { action: 'start_import', methods: POST, paths: own('admin/import'), who: 'repository_admin', ...imports.start },
  {
    action: 'append_to_import',
    methods: POST,
    paths: own('admin/import/:importId/part'),
    who: 'repository_admin',
    ...imports.append,
  },
  {
    action: 'stop_import',
    methods: POST,
    paths: own('admin/import/:importId/close'),
    who: 'repository_admin',
    ...imports.close,
  },
]
