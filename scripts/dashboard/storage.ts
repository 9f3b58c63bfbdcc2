import type { Row } from './panel.ts'
import { JOB, inRange, line, mean, of, perSecond } from './queries.ts'

export const storage: Row = {
  title: 'Storage',
  panels: [
    {
      title: 'Datastores',
      help: '1 while every instance can use it.',
      kind: 'lines',
      unit: 'none',
      queries: [line(`min by (datastore) (${of('cellarium_datastore_up')})`, '{{datastore}}')],
    },
    {
      title: 'Look-ups that a cache answers',
      help: 'Share of all look-ups.',
      kind: 'lines',
      unit: 'percentunit',
      queries: [
        line(
          `${perSecond(of('media_cache_hits_total'), 'cache')} / (${perSecond(of('media_cache_hits_total'), 'cache')} + ${perSecond(of('media_cache_misses_total'), 'cache')})`,
          '{{cache}}',
        ),
      ],
    },
    {
      title: 'Bytes in caches',
      help: 'In the memory of each instance.',
      kind: 'lines',
      unit: 'bytes',
      queries: [line(of('cellarium_cache_bytes'), '{{instance}} {{cache}}')],
    },
    {
      title: 'Calls to S3',
      help: 'Each try counts.',
      kind: 'lines',
      unit: 'ops',
      queries: [line(perSecond(of('media_s3_operations_total'), 'operation'), '{{operation}}')],
      isOftenEmpty: true,
    },
    {
      title: 'Objects lost, damaged, found again',
      help: 'In the time shown. Uploading the same file again heals one; the log names them.',
      kind: 'bars',
      unit: 'none',
      queries: [
        line(inRange(of('cellarium_objects_lost_total'), 'datastore'), 'lost: {{datastore}}'),
        line(inRange(of('cellarium_objects_damaged_total'), 'datastore'), 'damaged: {{datastore}}'),
        line(inRange(of('cellarium_objects_recovered_total'), 'datastore'), 'found again: {{datastore}}'),
      ],
      isOftenEmpty: true,
    },
    {
      title: 'Objects moved to another datastore',
      help: 'By transfers.',
      kind: 'lines',
      unit: 'ops',
      queries: [line(perSecond(of('cellarium_transferred_objects_total'), 'outcome'), '{{outcome}}')],
      isOftenEmpty: true,
    },
    {
      title: 'Bytes moved and read again',
      help: 'By transfers, and by the scrub.',
      kind: 'lines',
      unit: 'Bps',
      queries: [
        line(perSecond(of('cellarium_transferred_bytes_total')), 'moved'),
        line(perSecond(of('cellarium_scrubbed_bytes_total'), 'datastore'), 'read again: {{datastore}}'),
      ],
    },
    {
      title: 'Objects deleted',
      help: 'That nothing names any more: unused ones, and what crashes left.',
      kind: 'lines',
      unit: 'ops',
      queries: [
        line(perSecond(of('cellarium_unused_objects_deleted_total')), 'unused'),
        line(perSecond(of('cellarium_objects_swept_total'), 'datastore'), 'swept: {{datastore}}'),
      ],
    },
    {
      title: 'Removed by age or size',
      help: 'By the retention rules of the configuration.',
      kind: 'lines',
      unit: 'ops',
      queries: [
        line(perSecond(of('cellarium_expired_media_total'), 'kind'), '{{kind}}'),
        line(perSecond(of('cellarium_remote_media_trimmed_total')), 'over downloads.maxStoredBytes'),
        line(perSecond(of('cellarium_thumbnails_expired_total')), 'thumbnails'),
        line(perSecond(of('cellarium_url_previews_removed_total')), 'previews'),
      ],
    },
    {
      title: 'Bytes removed by age',
      help: 'Each name counted.',
      kind: 'lines',
      unit: 'Bps',
      queries: [line(perSecond(of('cellarium_expired_bytes_total'), 'kind'), '{{kind}}')],
      isOftenEmpty: true,
    },
  ],
}

export const background: Row = {
  title: 'Tasks and jobs',
  panels: [
    {
      title: 'Tasks running',
      help: 'On all instances.',
      kind: 'lines',
      unit: 'none',
      queries: [line(`sum by (task) (${of('cellarium_tasks_running')})`, '{{task}}')],
      isOftenEmpty: true,
    },
    {
      title: 'Tasks ended',
      help: 'In the time shown.',
      kind: 'bars',
      unit: 'none',
      queries: [line(inRange(of('cellarium_tasks_total'), 'task, outcome'), '{{task}}: {{outcome}}')],
      isOftenEmpty: true,
    },
    {
      title: 'Time of a task',
      help: 'The mean since the start of the instances, of what each did of it.',
      kind: 'bars',
      unit: 's',
      queries: [line(mean('cellarium_task_seconds', 'task'), '{{task}}')],
      isOftenEmpty: true,
    },
    {
      title: 'Runs of jobs',
      help: 'In the time shown; docs/tasks.md says what each does.',
      kind: 'bars',
      unit: 'none',
      queries: [line(inRange(of('cellarium_job_runs_total'), `${JOB}, outcome`), `{{${JOB}}}: {{outcome}}`)],
    },
    {
      title: 'Time of a job',
      help: 'The mean since the start of the instances.',
      kind: 'bars',
      unit: 's',
      queries: [line(mean('cellarium_job_seconds', JOB), `{{${JOB}}}`)],
    },
    {
      title: 'Time since a job last ended well',
      help: 'On whichever instance.',
      kind: 'bars',
      unit: 's',
      queries: [line(`time() - max by (${JOB}) (${of('cellarium_job_last_success_timestamp_seconds')})`, `{{${JOB}}}`)],
    },
  ],
}
