/** The dashboard and the alert rules with a real Prometheus, which watches a real server that has something to do. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { dashboardRows } from '../../scripts/dashboard/rows.ts'
import { labelsIn } from '../support/promql.ts'
import { ALICE, eventually } from '../support/app.ts'
import { temporaryFolder } from '../support/folder.ts'
import { startHomeserver } from '../support/homeserver.ts'
import { mediaClient } from '../support/media-client.ts'
import { type Alert, MONITORING, type Prometheus, type Sample, startPrometheus } from '../support/prometheus.ts'
import { asking, startRemoteServer } from '../support/remote.ts'
import { type Server, startServer } from '../support/server.ts'
import { describeWith, freePort } from '../support/services.ts'
import { LOOPBACK_ALLOWED, previewPath, startWebSite } from '../support/web-site.ts'

interface World extends AsyncDisposable {
  readonly server: Server
  readonly prometheus: Prometheus
  /** An upload, downloads, thumbnails, a file of another server, previews: another one each time. */
  readonly busy: () => Promise<void>
}

async function startWorld(): Promise<World> {
  await using cleanup = new AsyncDisposableStack()
  const homeserver = cleanup.use(await startHomeserver())
  homeserver.addUser(ALICE)
  const [remote, site] = [cleanup.use(await startRemoteServer()), cleanup.use(await startWebSite())]
  const { path: folder } = cleanup.use(await temporaryFolder())
  const { homeserver: keys, federation } = await asking(folder)
  const metricsPort = await freePort()
  const config = {
    homeservers: [{ name: homeserver.serverName, csApi: homeserver.url, ...keys }],
    metrics: { enabled: true, bindAddress: '127.0.0.1', port: metricsPort },
    downloads: { cache: { enabled: true, minDownloads: 1 } },
    urlPreviews: { enabled: true, ...LOOPBACK_ALLOWED },
    federation,
  }
  const env = { NODE_EXTRA_CA_CERTS: remote.authority.file }
  const server = cleanup.use(await startServer({ folder, config, env }))
  const prometheus = cleanup.use(await startPrometheus(metricsPort))
  const client = mediaClient(server, ALICE.token)
  const owned = cleanup.move()
  let times = 0
  return {
    server,
    prometheus,
    busy: async () => {
      times += 1
      const { media } = await client.upload(await picture(times))
      const far = remote.put(await picture(1000 + times))
      for (const name of [media, far, media, far, media, far]) expect((await client.download(name)).status).toBe(200)
      for (const name of [media, far]) expect(await client.thumbnail(name)).toBe(200)
      site.page(`/page${times}`, `<meta property="og:title" content="Page ${times}">`)
      const headers = { authorization: `Bearer ${ALICE.token}`, 'x-forwarded-host': homeserver.serverName }
      for (let round = 0; round < 3; round++) {
        const preview = await fetch(`${server.url}${previewPath(site.urlOf(`/page${times}`))}`, { headers })
        expect([preview.status, await preview.json()]).toEqual([200, { 'og:title': `Page ${times}` }])
      }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const picture = async (width: number) =>
  await sharp({ create: { width, height: 200, channels: 3, background: '#2060a0' } })
    .png()
    .toBuffer()

/** As Grafana fills it in. */
const filledIn = (expr: string) =>
  expr
    .replaceAll('$__rate_interval', '2m')
    .replaceAll('$__range', '1h')
    .replaceAll(/\$(?:job|instance|host)\b/g, '.*')

/** Prometheus looks every two seconds, and has to come to it on a busy machine. */
const soon = async (holds: () => Promise<boolean>) =>
  await eventually(async () => {
    await pause(200)
    return await holds()
  }, 90_000)

const isData = ({ value }: Sample) => !Number.isNaN(value)

describeWith(['prometheus', 'openssl'], 'A Prometheus that watches a server', () => {
  let world: World
  beforeAll(async () => {
    world = await startWorld()
    const { busy, prometheus } = world
    // What first appears with a number has no rate yet: it has to be seen once before there is more of it.
    for (let round = 0; round < 2; round++) {
      await busy()
      const done = Date.now() / 1000
      await soon(async () => (await prometheus.query(`timestamp(cellarium_build_info) > ${done}`)).length === 1)
    }
    await soon(async () => (await prometheus.query('cellarium_job_last_success_timestamp_seconds')).length > 0)
  }, 300_000)
  afterAll(async () => await world[Symbol.asyncDispose]())

  test('has an answer to every query of the dashboard, and something to show in each panel of ordinary traffic', async () => {
    const panels = dashboardRows.flatMap((row) => row.panels)
    const asked = panels.map(async ({ title, queries, isOftenEmpty }) => {
      const answers = await Promise.all(queries.map(async ({ expr }) => await world.prometheus.query(filledIn(expr))))
      return { title, isEmpty: answers.flat().filter(isData).length === 0, mayBe: isOftenEmpty === true }
    })
    const empty = (await Promise.all(asked)).filter(({ isEmpty, mayBe }) => isEmpty && !mayBe)
    expect(empty.map(({ title }) => title)).toEqual([])
  })

  test('has each label that a line is called by', async () => {
    const queries = dashboardRows.flatMap((row) => row.panels.flatMap((panel) => panel.queries))
    const nameless = queries.map(async ({ expr, legend }) => {
      const samples = await world.prometheus.query(filledIn(expr))
      return samples.some(({ labels }) => labelsIn('', legend).some((label) => !labels[label])) ? [legend] : []
    })
    expect((await Promise.all(nameless)).flat()).toEqual([])
  })

  test('finds what Grafana offers above the panels', async () => {
    interface Variable {
      readonly name: string
      readonly definition?: string
    }
    const text = await readFile(join(MONITORING, 'dashboard.json'), 'utf8')
    const { templating }: { readonly templating: { readonly list: readonly Variable[] } } = JSON.parse(text)
    const offered = templating.list.map(async ({ name, definition }) => {
      const [, series, label = ''] = /^label_values\((.*), (\w+)\)$/.exec(definition ?? '') ?? []
      if (series === undefined) return name
      const values = (await world.prometheus.query(filledIn(series))).map(({ labels }) => labels[label])
      return `${name}: ${[...new Set(values)].join()}`
    })
    expect(await Promise.all(offered)).toEqual([
      'datasource',
      'job: cellarium',
      expect.stringMatching(/^instance: 127\.0\.0\.1:\d+$/),
      'host: example.org',
    ])
  })

  test("has series for what matrix-media-repo's dashboards ask", async () => {
    const asked = [
      'sum(increase(media_http_requests_total{host=~"example.org"}[5m])) by (host, action)',
      'sum(increase(media_http_responses_total{host=~"example.org"}[5m])) by (statusCode)',
      'histogram_quantile(0.9, sum(rate(media_http_response_time_seconds_bucket{host=~"example.org"}[5m])) by (le))',
      'sum(increase(media_cache_hits_total[5m])) by (cache)',
      'sum(increase(media_cache_misses_total[5m])) by (cache)',
      'sum(increase(media_thumbnails_generated_total[5m])) by (width, height, method, animated, origin)',
      'sum(increase(media_downloaded_total[5m])) by (origin)',
      'sum(increase(media_url_previews_generated_total[5m])) by (type)',
      'sum(increase(media_age_accessed_media_seconds_bucket[5m])) by (le)',
      'process_resident_memory_bytes',
      'process_open_fds',
    ]
    for (const query of asked) expect((await world.prometheus.query(query)).filter(isData), query).not.toEqual([])
  })

  // The last one: it ends the server.
  test('works out every alert rule: nothing is wrong, until the server ends', async () => {
    const { prometheus, server } = world
    const ofHealth = async (health: string) => (await prometheus.alerts()).filter((alert) => alert.health === health)
    await soon(async () => (await ofHealth('unknown')).length === 0)
    expect(await ofHealth('err')).toEqual([])
    const wrong = async (): Promise<readonly Alert[]> =>
      (await prometheus.alerts()).filter(({ state }) => state !== 'inactive')
    // On a busy machine a scrape may take longer than it may; that is over with the next one.
    expect((await wrong()).filter(({ name }) => name !== 'CellariumDown')).toEqual([])
    await server.stop()
    await soon(async () => (await wrong()).length > 0)
    expect(await wrong()).toMatchObject([
      { name: 'CellariumDown', summaries: [expect.stringMatching(/^Cellarium at 127.* does not answer Prometheus$/)] },
    ])
  })
})
