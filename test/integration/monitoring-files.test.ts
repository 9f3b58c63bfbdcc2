/** The dashboard and the alert rules of docs/deploy/monitoring, against the metrics that there are. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { dashboardText } from '../../scripts/dashboard/grafana.ts'
import { dashboardRows } from '../../scripts/dashboard/rows.ts'
import { openExposition } from '../../src/lib/metrics-exposition.ts'
import { openMetrics } from '../../src/lib/metrics.ts'
import { temporaryFolder } from '../support/folder.ts'
import { runProgram } from '../support/processes.ts'
import { configuration, MONITORING } from '../support/prometheus.ts'
import { labelsIn, metricsIn } from '../support/promql.ts'
import { describeWith, requireService } from '../support/services.ts'

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly labels: { readonly severity: string }
  readonly annotations: { readonly summary: string; readonly description: string }
}

const { families } = openMetrics({ version: '1' })
const labelsOf = new Map(families.map(({ name, labelNames }) => [name, labelNames]))
const file = async (name: string) => await readFile(join(MONITORING, name), 'utf8')
const manual = async () => await readFile(new URL('../../docs/monitoring.md', import.meta.url), 'utf8')
const panels = dashboardRows.flatMap((row) => row.panels)
const queries = panels.flatMap((panel) => panel.queries)

async function rules(): Promise<readonly Rule[]> {
  const { groups }: { readonly groups: readonly { readonly rules: readonly Rule[] }[] } = parse(
    await file('alerts.yaml'),
  )
  return groups.flatMap((group) => group.rules)
}

/** Every name that a server has for Prometheus: ours, and those of its process. */
async function namesThere(): Promise<ReadonlySet<string>> {
  const text = await openExposition(families).render()
  return new Set([...text.matchAll(/^# TYPE (\w+) /gm)].map(([, name]) => name ?? ''))
}

/** Metrics and labels that a query names and that there are not. */
async function notThere(expr: string, shown: string): Promise<readonly string[]> {
  const there = await namesThere()
  const metrics = metricsIn(expr)
  const ours = metrics.flatMap((name) => labelsOf.get(name) ?? [])
  const labels = new Set(['job', 'instance', 'le', ...ours.map((label) => (label === 'job' ? 'exported_job' : label))])
  return [...metrics.filter((name) => !there.has(name)), ...labelsIn(expr, shown).filter((label) => !labels.has(label))]
}

describe('The dashboard', () => {
  test('is the one that is generated', async () => {
    const hint = 'run: node scripts/generate-dashboard.ts'
    expect(await file('dashboard.json'), hint).toBe(dashboardText(dashboardRows))
  })

  test('shows every metric that the program has', () => {
    const shown = new Set(queries.flatMap(({ expr }) => metricsIn(expr)))
    expect([...labelsOf.keys()].filter((name) => !shown.has(name))).toEqual([])
  })

  test('asks for nothing that there is not', async () => {
    const missing = queries.map(async ({ expr, legend }) => [expr, await notThere(expr, legend)] as const)
    expect((await Promise.all(missing)).filter(([, names]) => names.length > 0)).toEqual([])
  })

  test('has panels that do not overlap, with ids and titles of their own', async () => {
    interface Shown {
      readonly id: number
      readonly title: string
      readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
    }
    const shown: readonly Shown[] = JSON.parse(await file('dashboard.json')).panels
    expect(shown).toHaveLength(panels.length + dashboardRows.length)
    expect(new Set(shown.map(({ id }) => id)).size).toBe(shown.length)
    expect(new Set(shown.map(({ title }) => title)).size).toBe(shown.length)
    const cells = shown.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, index) => `${x + (index % w)},${y + Math.floor(index / w)}`),
    )
    expect(new Set(cells).size).toBe(cells.length)
    expect(Math.max(...shown.map(({ gridPos: { x, w } }) => x + w))).toBe(24)
  })
})

describe('The alert rules', () => {
  test('ask for nothing that there is not', async () => {
    const missing = (await rules()).map(async ({ alert, expr, annotations }) => {
      const shown = `${annotations.summary} ${annotations.description}`
      return [alert, await notThere(expr, shown)] as const
    })
    expect((await Promise.all(missing)).filter(([, names]) => names.length > 0)).toEqual([])
  })

  test('are all explained in docs/monitoring.md, and nothing else is', async () => {
    const explained = [...(await manual()).matchAll(/^\| `(Cellarium\w+)` \| (\w+) \|/gm)].map(
      ([, name, severity]) => `${name} ${severity}`,
    )
    expect(explained).toEqual((await rules()).map(({ alert, labels }) => `${alert} ${labels.severity}`))
  })

  test('are all seen to fire by alerts.test.yaml', async () => {
    const tests = await file('alerts.test.yaml')
    expect((await rules()).filter(({ alert }) => !tests.includes(`alertname="${alert}"`))).toEqual([])
  })
})

describeWith('promtool', 'promtool', () => {
  test('finds the rules, the documented configuration of Prometheus, and our metrics well-formed', async () => {
    const promtool = requireService('promtool')
    const metrics = families.map((family) => family.render()).join('')
    await using folder = await temporaryFolder({
      'prometheus.yaml': await configuration(9000),
      'alerts.yaml': await file('alerts.yaml'),
      metrics,
    })
    const run = (...command: string[]) => runProgram({ command, folder: folder.path })
    const found = `${(await rules()).length} rules found`
    expect(await run(promtool, 'check', 'config', 'prometheus.yaml')).toContain(found)
    expect(await run('sh', '-c', 'exec "$0" check metrics < metrics', promtool)).toBe('')
  })

  test('sees each alert fire when it should, and none for a healthy server', async () => {
    const command = [requireService('promtool'), 'test', 'rules', 'alerts.test.yaml']
    expect(await runProgram({ command, folder: MONITORING })).toContain('SUCCESS')
  }, 180_000)
})

/** What MMR has besides figures of the Go runtime, and its dashboards ask for; `media_cache_evictions_total` it had no more itself. */
const OF_MMR = {
  media_http_requests_total: ['counter', 'host', 'action', 'method'],
  media_invalid_http_requests_total: ['counter', 'action', 'method'],
  media_http_responses_total: ['counter', 'host', 'action', 'method', 'statusCode'],
  media_http_response_time_seconds: ['histogram', 'host', 'action', 'method'],
  media_cache_hits_total: ['counter', 'cache'],
  media_cache_misses_total: ['counter', 'cache'],
  media_thumbnails_generated_total: ['counter', 'width', 'height', 'method', 'animated', 'origin'],
  media_downloaded_total: ['counter', 'origin'],
  media_url_previews_generated_total: ['counter', 'type'],
  media_s3_operations_total: ['counter', 'operation'],
  media_age_accessed_media_seconds: ['histogram'],
} as const

test('Every metric of matrix-media-repo is there, with its type and labels, so that its dashboards go on', async () => {
  const text = await openExposition(families).render()
  const ofMmr = families.filter(({ name }) => name.startsWith('media_'))
  const types = new Map([...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name = '', type]) => [name, type]))
  expect(Object.fromEntries(ofMmr.map(({ name, labelNames }) => [name, [types.get(name), ...labelNames]]))).toEqual(
    OF_MMR,
  )
})

test('The ages of media have the bounds that the heat maps of its dashboards are made for', async () => {
  const text = await openExposition(families).render()
  const bounds = [...text.matchAll(/^media_age_accessed_media_seconds_bucket\{le="(\d+)"\}/gm)].map(([, le]) =>
    Number(le),
  )
  expect(bounds).toEqual([
    5, 15, 30, 60, 120, 150, 300, 900, 1800, 3600, 9000, 18000, 43200, 86400, 1296000, 2592000, 15811200, 31536000,
  ])
})
