import type { Row } from './panel.ts'
import { inRange, line, of, ofHosts, perSecond, quantile, rate } from './queries.ts'

export const moderation: Row = {
  title: 'Moderation and limits',
  panels: [
    {
      title: 'Quarantined and deleted',
      help: 'Names of media, in the time shown.',
      kind: 'bars',
      unit: 'none',
      queries: [
        line(inRange(of('cellarium_quarantined_total')), 'quarantined'),
        line(inRange(of('cellarium_deleted_total')), 'deleted'),
      ],
    },
    {
      title: 'Reports',
      help: 'Made, and decided about, in the time shown.',
      kind: 'bars',
      unit: 'none',
      queries: [
        line(inRange(of('cellarium_reports_total'), 'source'), 'from {{source}}'),
        line(inRange(of('cellarium_reports_closed_total'), 'outcome'), 'decided: {{outcome}}'),
      ],
      isOftenEmpty: true,
    },
    {
      title: 'What administrators do',
      help: 'Lines of the audit log, and requests that only administrators may make, by others; in the time shown.',
      kind: 'bars',
      unit: 'none',
      queries: [
        line(inRange(of('cellarium_admin_actions_total'), 'action, outcome'), '{{action}}: {{outcome}}'),
        line(inRange(of('cellarium_admin_refusals_total'), 'action'), 'refused: {{action}}'),
      ],
      isOftenEmpty: true,
    },
    {
      title: 'Verdicts of gates',
      help: 'On files before they are stored.',
      kind: 'lines',
      unit: 'ops',
      queries: [line(perSecond(of('cellarium_gate_verdicts_total'), 'gate, verdict'), '{{gate}}: {{verdict}}')],
      isOftenEmpty: true,
    },
    {
      title: 'Time of gates (95 %)',
      help: 'Uploads wait for it.',
      kind: 'lines',
      unit: 's',
      queries: [line(quantile(0.95, of('cellarium_gate_seconds_bucket'), 'gate'), '{{gate}}')],
      isOftenEmpty: true,
    },
    {
      title: 'Gates and lists',
      help: '1 while every instance can use it.',
      kind: 'lines',
      unit: 'none',
      queries: [
        line(`min by (gate) (${of('cellarium_gate_up')})`, 'gate {{gate}}'),
        line(`min by (list) (${of('cellarium_hash_list_up')})`, 'list {{list}}'),
      ],
      isOftenEmpty: true,
    },
    {
      title: 'Hashes on lists',
      help: 'A list that shrinks suddenly was probably not written to its end.',
      kind: 'lines',
      unit: 'none',
      queries: [line(`max by (list) (${of('cellarium_hash_list_hashes')})`, '{{list}}')],
      isOftenEmpty: true,
    },
    {
      title: 'Uploads over a quota',
      help: 'Answered 403.',
      kind: 'lines',
      unit: 'ops',
      queries: [line(perSecond(ofHosts('cellarium_uploads_over_limit_total'), 'limit'), '{{limit}}')],
      isOftenEmpty: true,
    },
    {
      title: 'Requests over a limit',
      help: 'Answered 429; the log says whose.',
      kind: 'lines',
      unit: 'reqps',
      queries: [
        line(perSecond(of('cellarium_requests_limited_total'), 'limit'), 'clients: {{limit}}'),
        line(perSecond(of('cellarium_servers_limited_total'), 'limit'), 'homeservers: {{limit}}'),
        line(perSecond(of('cellarium_fetches_limited_total')), 'fetched bytes'),
      ],
    },
  ],
}

export const others: Row = {
  title: 'Other servers, keys, Redis',
  panels: [
    {
      title: 'Homeservers that give no answer',
      help: 'Ours: nobody can be asked whose a token is.',
      kind: 'lines',
      unit: 'none',
      queries: [
        line(`count(min by (host) (${ofHosts('cellarium_homeserver_up')}) == 0) or vector(0)`, 'without an answer'),
      ],
    },
    {
      title: 'Homeservers without a signing key',
      help: 'They cannot fetch authenticated media of others.',
      kind: 'lines',
      unit: 'none',
      queries: [line(`count(min by (host) (${ofHosts('cellarium_signing_key_usable')}) == 0) or vector(0)`, 'without')],
    },
    {
      title: 'Keys of other servers fetched',
      help: 'To check their requests.',
      kind: 'lines',
      unit: 'ops',
      queries: [line(perSecond(of('cellarium_remote_key_fetches_total'), 'outcome'), '{{outcome}}')],
      isOftenEmpty: true,
    },
    {
      title: 'Addresses refused',
      help: 'Connections not made because of the networks that the configuration forbids.',
      kind: 'lines',
      unit: 'ops',
      queries: [line(perSecond(of('cellarium_addresses_refused_total')), 'refused')],
    },
    {
      title: 'Redis',
      help: '1 while every instance has its connection.',
      kind: 'lines',
      unit: 'none',
      queries: [line(`min by (shard, use) (${of('cellarium_redis_up')})`, '{{shard}} {{use}}')],
      isOftenEmpty: true,
    },
    {
      title: 'Troubles with Redis',
      help: 'Connections lost, and wrong values, in the time shown.',
      kind: 'bars',
      unit: 'none',
      queries: [
        line(inRange(of('cellarium_redis_failures_total'), 'shard, use'), 'lost: {{shard}} {{use}}'),
        line(inRange(of('cellarium_redis_wrong_values_total'), 'what'), 'wrong: {{what}}'),
      ],
      isOftenEmpty: true,
    },
    {
      title: "Other servers' files by way of Redis",
      help: 'Left there for other repositories, and taken from it.',
      kind: 'lines',
      unit: 'ops',
      queries: [line(perSecond(of('cellarium_redis_remote_files_total'), 'outcome'), '{{outcome}}')],
      isOftenEmpty: true,
    },
  ],
}

export const machine: Row = {
  title: 'Processes',
  panels: [
    {
      title: 'Memory',
      help: 'Without thumbnail workers, which are processes of their own; docs/sizing.md says what is usual.',
      kind: 'lines',
      unit: 'bytes',
      queries: [
        line(of('process_resident_memory_bytes'), '{{instance}}'),
        line(of('nodejs_heap_size_used_bytes'), '{{instance}} JavaScript'),
      ],
    },
    {
      title: 'CPU',
      help: 'One process uses one core for requests, and some more for files and hashes.',
      kind: 'lines',
      unit: 'percentunit',
      queries: [line(rate(of('process_cpu_seconds_total')), '{{instance}}')],
    },
    {
      title: 'Waiting of the event loop (99 %)',
      help: 'What each request waits for besides its own work.',
      kind: 'lines',
      unit: 's',
      queries: [line(of('nodejs_eventloop_lag_p99_seconds'), '{{instance}}')],
    },
    {
      title: 'Open files',
      help: 'And connections; the limit is that of the service (LimitNOFILE).',
      kind: 'lines',
      unit: 'none',
      queries: [line(of('process_open_fds'), '{{instance}}'), line(of('process_max_fds'), '{{instance}}, most')],
    },
    {
      title: 'Running since',
      help: 'Time since the start.',
      kind: 'bars',
      unit: 's',
      queries: [line(`time() - ${of('process_start_time_seconds')}`, '{{instance}}')],
    },
    {
      title: 'Versions',
      help: 'Two of them while an update is under way.',
      kind: 'bars',
      unit: 'none',
      queries: [line(`count by (version) (${of('cellarium_build_info')})`, '{{version}}')],
    },
  ],
}
