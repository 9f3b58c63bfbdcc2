import type { Row } from './panel.ts'
import { inRange, line, of, ofHosts, perSecond, quantile } from './queries.ts'

const RESPONSES = 'media_http_responses_total'
/** 502 and 504 tell of other servers, not of this one. */
const OURS = ',statusCode=~"5..",statusCode!~"502|504"'
const SECONDS = ofHosts('media_http_response_time_seconds_bucket')

export const glance: Row = {
  title: 'At a glance',
  panels: [
    {
      title: 'Instances',
      help: 'How many are scraped, and run.',
      kind: 'number',
      unit: 'none',
      queries: [line(`count(${of('cellarium_build_info')})`, 'instances')],
      redBelow: 1,
    },
    {
      title: 'Database',
      help: '1 while every instance can use it.',
      kind: 'number',
      unit: 'none',
      queries: [line(`min(${of('cellarium_database_up')})`, 'up')],
      redBelow: 1,
    },
    {
      title: 'Datastores down',
      help: 'Datastores that some instance cannot use.',
      kind: 'number',
      unit: 'none',
      queries: [line(`count(min by (datastore) (${of('cellarium_datastore_up')}) == 0) or vector(0)`, 'down')],
      redFrom: 1,
    },
    {
      title: 'Requests a second',
      help: 'Requests to the homeservers chosen above.',
      kind: 'number',
      unit: 'reqps',
      queries: [line(perSecond(ofHosts('media_http_requests_total')), 'requests')],
    },
    {
      title: 'Failed',
      help: 'Share of the answers that are 5xx, without 502 and 504, which other servers cause.',
      kind: 'number',
      unit: 'percentunit',
      queries: [
        line(`(${perSecond(ofHosts(RESPONSES, OURS))} or vector(0)) / ${perSecond(ofHosts(RESPONSES))}`, 'failed'),
      ],
      redFrom: 0.05,
    },
    {
      title: 'Internal errors',
      help: 'Defects of the program in the time shown; the log has their stacks.',
      kind: 'number',
      unit: 'none',
      queries: [line(inRange(of('cellarium_internal_errors_total')), 'errors')],
      redFrom: 1,
    },
  ],
}

export const requests: Row = {
  title: 'Requests',
  panels: [
    {
      title: 'Requests by what they ask',
      help: 'As they arrive.',
      kind: 'lines',
      unit: 'reqps',
      queries: [line(perSecond(ofHosts('media_http_requests_total'), 'action'), '{{action}}')],
    },
    {
      title: 'Answers by status',
      help: 'As they are finished.',
      kind: 'lines',
      unit: 'reqps',
      queries: [line(perSecond(ofHosts(RESPONSES), 'statusCode'), '{{statusCode}}')],
    },
    {
      title: 'Time of all answers',
      help: 'From the request to the end of its answer: callers with slow lines count.',
      kind: 'lines',
      unit: 's',
      queries: [0.5, 0.95, 0.99].map((share) => line(quantile(share, SECONDS), `${share * 100} %`)),
    },
    {
      title: 'Time by what is asked (95 %)',
      help: 'Downloads take as long as the caller takes; thumbnails and uploads show what the server does.',
      kind: 'lines',
      unit: 's',
      queries: [line(quantile(0.95, SECONDS, 'action'), '{{action}}')],
    },
    {
      title: 'Homeservers with most requests',
      help: 'The ten busiest.',
      kind: 'lines',
      unit: 'reqps',
      queries: [line(`topk(10, ${perSecond(ofHosts('media_http_requests_total'), 'host')})`, '{{host}}')],
    },
    {
      title: 'Requests for hosts that are not configured',
      help: 'A proxy that passes on the wrong Host, or a homeserver that is missing in the configuration.',
      kind: 'lines',
      unit: 'reqps',
      queries: [line(perSecond(of('media_invalid_http_requests_total'), 'action'), '{{action}}')],
      isOftenEmpty: true,
    },
  ],
}

export const media: Row = {
  title: 'Media',
  panels: [
    {
      title: 'Uploads',
      help: 'Stored ones.',
      kind: 'lines',
      unit: 'ops',
      queries: [line(`topk(10, ${perSecond(ofHosts('cellarium_uploads_total'), 'host')})`, '{{host}}')],
    },
    {
      title: 'Bytes uploaded',
      help: 'Of stored uploads, each counted whether or not its content was here already.',
      kind: 'lines',
      unit: 'Bps',
      queries: [line(`topk(10, ${perSecond(ofHosts('cellarium_uploaded_bytes_total'), 'host')})`, '{{host}}')],
    },
    {
      title: 'Age of what is asked for',
      help: 'Young media only: caches do well. Old ones too: datastores do the work.',
      kind: 'ages',
      unit: 's',
      queries: [line(perSecond(of('media_age_accessed_media_seconds_bucket'), 'le'), '{{le}}')],
    },
    {
      title: 'Files fetched from other servers',
      help: 'The ten servers with most.',
      kind: 'lines',
      unit: 'ops',
      queries: [line(`topk(10, ${perSecond(of('media_downloaded_total'), 'origin')})`, '{{origin}}')],
    },
    {
      title: 'Files that could not be fetched',
      help: 'By reason; the log names the files.',
      kind: 'lines',
      unit: 'ops',
      queries: [line(perSecond(of('cellarium_remote_fetch_failures_total'), 'reason'), '{{reason}}')],
      isOftenEmpty: true,
    },
    {
      title: 'Thumbnails made',
      help: 'Not those that were found.',
      kind: 'lines',
      unit: 'ops',
      queries: [
        line(
          perSecond(of('media_thumbnails_generated_total'), 'width, height, method'),
          '{{width}} × {{height}} {{method}}',
        ),
      ],
    },
    {
      title: 'URL previews made',
      help: 'By how they were found.',
      kind: 'lines',
      unit: 'ops',
      queries: [line(perSecond(of('media_url_previews_generated_total'), 'type'), '{{type}}')],
    },
    {
      title: 'Pages looked at for previews',
      help: 'By what came of it.',
      kind: 'lines',
      unit: 'ops',
      queries: [line(perSecond(of('cellarium_url_previews_total'), 'outcome'), '{{outcome}}')],
    },
    {
      title: 'Thumbnails not made in advance',
      help: 'Uploads for which thumbnails.preGenerate had no time.',
      kind: 'lines',
      unit: 'ops',
      queries: [line(perSecond(of('cellarium_pregenerations_dropped_total')), 'dropped')],
    },
  ],
}
