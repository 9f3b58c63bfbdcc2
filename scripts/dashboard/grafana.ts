/** Rows and panels as Grafana's dashboard model has them (its version 39, which Grafana 10 and later read). */
import type { Panel, Query, Row } from './panel.ts'

const ACROSS = 24
const DATASOURCE = { type: 'prometheus', uid: '${datasource}' }
const SIZES = { number: { w: 4, h: 4 }, lines: { w: 8, h: 8 }, ages: { w: 8, h: 8 }, bars: { w: 8, h: 8 } }

interface Place {
  readonly x: number
  readonly y: number
  readonly w: number
  readonly h: number
}

/** The dashboard, as the text of a file that Grafana imports. */
export function dashboardText(rows: readonly Row[]): string {
  const dashboard = {
    uid: 'cellarium',
    title: 'Cellarium',
    description: 'A Matrix media repository: requests, storage, jobs, limits. docs/monitoring.md explains the metrics.',
    tags: ['matrix', 'cellarium'],
    schemaVersion: 39,
    editable: true,
    graphTooltip: 1,
    refresh: '1m',
    time: { from: 'now-6h', to: 'now' },
    timezone: '',
    templating: { list: variables },
    panels: panelsOf(rows),
  }
  return `${JSON.stringify(dashboard, undefined, 2)}\n`
}

const chosenFrom = (name: string, label: string, query: string) => ({
  name,
  label,
  type: 'query',
  datasource: DATASOURCE,
  query: { query, refId: name },
  definition: query,
  refresh: 2,
  sort: 1,
  multi: true,
  includeAll: true,
  allValue: '.*',
  current: { text: ['All'], value: ['$__all'] },
})

/** What stands above the panels. The first is the Prometheus to ask. */
const variables = [
  { name: 'datasource', label: 'Prometheus', type: 'datasource', query: 'prometheus', refresh: 1 },
  chosenFrom('job', 'Job', 'label_values(cellarium_build_info, job)'),
  chosenFrom('instance', 'Instance', 'label_values(cellarium_build_info{job=~"$job"}, instance)'),
  chosenFrom('host', 'Homeserver', 'label_values(media_http_requests_total{job=~"$job",instance=~"$instance"}, host)'),
]

/** Rows one under the other, their panels from left to right. Ids are numbers in this order. */
function panelsOf(rows: readonly Row[]): readonly object[] {
  const all: object[] = []
  let y = 0
  for (const { title, panels } of rows) {
    all.push({
      id: all.length + 1,
      type: 'row',
      title,
      collapsed: false,
      panels: [],
      gridPos: { x: 0, y, w: ACROSS, h: 1 },
    })
    let place: Place = { x: 0, y: y + 1, w: 0, h: 0 }
    for (const panel of panels) {
      place = next(place, SIZES[panel.kind])
      all.push({ id: all.length + 1, ...panelOf(panel), gridPos: place })
    }
    y = place.y + place.h
  }
  return all
}

/** Beside the last one, or where the line is full, under it. */
function next(last: Place, size: { readonly w: number; readonly h: number }): Place {
  const x = last.x + last.w
  return x + size.w <= ACROSS ? { ...size, x, y: last.y } : { ...size, x: 0, y: last.y + last.h }
}

function panelOf(panel: Panel): object {
  const { title, help, unit } = panel
  return {
    title,
    description: help,
    datasource: DATASOURCE,
    ...TYPES[panel.kind],
    fieldConfig: {
      defaults: { unit, noValue: panel.isOftenEmpty ? 'none' : '–', ...colours(panel), min: 0 },
      overrides: [],
    },
    targets: panel.queries.map((query, index) => targetOf(panel, query, index)),
  }
}

const LEGEND = { displayMode: 'list', placement: 'bottom', showLegend: true }
const LAST = { calcs: ['lastNotNull'] }

/** Grafana's type of panel for each kind of ours. */
const TYPES: Readonly<Record<Panel['kind'], object>> = {
  number: { type: 'stat', options: { reduceOptions: LAST, colorMode: 'value', graphMode: 'none' } },
  lines: { type: 'timeseries', options: { legend: LEGEND, tooltip: { mode: 'multi', sort: 'desc' } } },
  ages: { type: 'heatmap', options: { calculate: false, yAxis: { unit: 's' }, legend: { show: true } } },
  bars: { type: 'bargauge', options: { displayMode: 'basic', orientation: 'horizontal', reduceOptions: LAST } },
}

function colours({ redFrom, redBelow }: Panel): object {
  const color = { mode: redFrom === undefined && redBelow === undefined ? 'palette-classic' : 'thresholds' }
  const red = { color: 'red', value: redFrom ?? null }
  const green = { color: 'green', value: redBelow ?? null }
  const steps = redFrom !== undefined ? [green, red] : redBelow !== undefined ? [red, green] : [green]
  return { color, thresholds: { mode: 'absolute', steps } }
}

function targetOf({ kind }: Panel, { expr, legend }: Query, index: number): object {
  const isNow = kind === 'number' || kind === 'bars'
  return {
    refId: String.fromCodePoint(65 + index),
    datasource: DATASOURCE,
    expr,
    legendFormat: legend,
    instant: isNow,
    range: !isNow,
    ...(kind === 'ages' && { format: 'heatmap' }),
  }
}
