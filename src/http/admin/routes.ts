import { DELETE, GET, own, POST, type Route } from '../route.ts'
import { bulkRoutes } from './bulk-routes.ts'
import { archiveRoutes } from './archive-routes.ts'
import * as audit from './audit.ts'
import * as datastores from './datastores.ts'
import * as federation from './federation.ts'
import * as jobs from './jobs.ts'
import * as moderation from './moderation.ts'
import * as previews from './previews.ts'
import * as reports from './reports.ts'
import * as retention from './retention.ts'
import * as tasks from './tasks.ts'
import * as usage from './usage.ts'

const usageRoutes: readonly Route[] = [
  {
    action: 'domain_usage',
    methods: GET,
    paths: own('admin/usage/:serverName'),
    who: 'repository_admin',
    ...usage.ofServer,
  },
  {
    action: 'user_usage',
    methods: GET,
    paths: own('admin/usage/:serverName/users'),
    who: 'repository_admin',
    ...usage.ofUsers,
  },
  {
    action: 'users_usage_stats',
    methods: GET,
    paths: own('admin/usage/:serverName/users-stats'),
    who: 'homeserver_admin',
    ...usage.usersStats,
  },
  {
    action: 'uploads_usage',
    methods: GET,
    paths: own('admin/usage/:serverName/uploads'),
    who: 'repository_admin',
    ...usage.ofUploads,
  },
]

/** The administrators' part of the API: MMR's, and what it lacks. */
export const adminRoutes: readonly Route[] = [
  ...bulkRoutes,
  ...archiveRoutes,
  ...usageRoutes,
  {
    action: 'quarantine_media',
    methods: POST,
    paths: own('admin/quarantine/:server/:mediaId'),
    who: 'user',
    ...moderation.quarantineMedia,
  },
  {
    action: 'release_media',
    methods: DELETE,
    paths: own('admin/quarantine/:server/:mediaId'),
    who: 'user',
    ...moderation.releaseMedia,
  },
  {
    action: 'purge_individual_media',
    methods: POST,
    paths: own('admin/purge/:server/:mediaId'),
    who: 'user',
    ...moderation.purgeMedia,
  },
  {
    action: 'purge_individual_media',
    methods: DELETE,
    paths: own('download/:server/:mediaId'),
    who: 'user',
    ...moderation.purgeMedia,
  },
  {
    action: 'list_datastores',
    methods: GET,
    paths: own('admin/datastores'),
    who: 'repository_admin',
    ...datastores.list,
  },
  {
    action: 'get_storage_estimate',
    methods: GET,
    paths: own('admin/datastores/:datastoreId/size_estimate'),
    who: 'repository_admin',
    ...datastores.sizeEstimate,
  },
  {
    action: 'datastore_transfer',
    methods: POST,
    paths: own('admin/datastores/:source/transfer_to/:target'),
    who: 'repository_admin',
    ...datastores.transfer,
  },
  {
    action: 'list_all_background_tasks',
    methods: GET,
    paths: own('admin/tasks/all'),
    who: 'repository_admin',
    ...tasks.listAll,
  },
  {
    action: 'list_unfinished_background_tasks',
    methods: GET,
    paths: own('admin/tasks/unfinished'),
    who: 'repository_admin',
    ...tasks.listUnfinished,
  },
  {
    action: 'get_background_task',
    methods: GET,
    paths: own('admin/tasks/:taskId'),
    who: 'repository_admin',
    ...tasks.get,
  },
  {
    action: 'cancel_background_task',
    methods: DELETE,
    paths: own('admin/tasks/:taskId'),
    who: 'repository_admin',
    ...tasks.cancel,
  },
  {
    action: 'retry_background_task',
    methods: POST,
    paths: own('admin/tasks/:taskId/retry'),
    who: 'repository_admin',
    ...tasks.retry,
  },
  {
    action: 'list_audit',
    methods: GET,
    paths: own('admin/audit'),
    who: 'repository_admin',
    ...audit.list,
  },
  {
    action: 'list_jobs',
    methods: GET,
    paths: own('admin/jobs'),
    who: 'repository_admin',
    ...jobs.listAll,
  },
  {
    action: 'preview_retention',
    methods: GET,
    paths: own('admin/retention/preview'),
    who: 'repository_admin',
    ...retention.preview,
  },
  {
    action: 'list_previews',
    methods: GET,
    paths: own('admin/previews'),
    who: 'repository_admin',
    ...previews.list,
  },
  {
    action: 'purge_previews',
    methods: DELETE,
    paths: own('admin/previews'),
    who: 'repository_admin',
    ...previews.purge,
  },
  {
    action: 'list_reports',
    methods: GET,
    paths: own('admin/reports'),
    who: 'repository_admin',
    ...reports.listAll,
  },
  {
    action: 'report_media',
    methods: POST,
    paths: own('admin/report/:server/:mediaId'),
    who: 'repository_admin',
    ...reports.reportMedia,
  },
  {
    action: 'dismiss_report',
    methods: POST,
    paths: own('admin/reports/:reportId/dismiss'),
    who: 'repository_admin',
    ...reports.dismissReport,
  },
  {
    action: 'quarantine_report',
    methods: POST,
    paths: own('admin/reports/:reportId/quarantine'),
    who: 'repository_admin',
    ...reports.quarantineReport,
  },
  {
    action: 'federation_test',
    methods: GET,
    paths: own('admin/federation/test/:serverName'),
    who: 'repository_admin',
    ...federation.test,
  },
]
