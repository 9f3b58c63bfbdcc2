/** A real Prometheus for tests, with the scrape configuration that `docs/monitoring.md` gives administrators, and our rules. */
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { adapt } from './documented.ts'
import { temporaryFolder } from './folder.ts'
import { startProgram, untilReady } from './processes.ts'
import { freePort, requireService } from './services.ts'

export const MONITORING = fileURLToPath(new URL('../../docs/deploy/monitoring', import.meta.url))

export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Alert {
  readonly name: string
  readonly state: 'inactive' | 'pending' | 'firing'
  /** `ok` when it could be worked out. */
  readonly health: string
  readonly summaries: readonly string[]
}

export interface Prometheus extends AsyncDisposable {
  /** What a query gives now; rejects with Prometheus's words when it cannot be asked. */
  readonly query: (expr: string) => Promise<readonly Sample[]>
  readonly alerts: () => Promise<readonly Alert[]>
}

/** Starts Prometheus, which scrapes this port of 127.0.0.1 every two seconds. Needs `describeWith('prometheus', …)`. */
export async function startPrometheus(metricsPort: number): Promise<Prometheus> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  const port = await freePort()
  await writeFile(join(folder, 'prometheus.yaml'), await configuration(metricsPort))
  await copyFile(join(MONITORING, 'alerts.yaml'), join(folder, 'alerts.yaml'))
  const prometheus = cleanup.use(
    await startProgram({
      command: [
        requireService('prometheus'),
        `--config.file=${join(folder, 'prometheus.yaml')}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      folder,
    }),
  )
  const url = `http://127.0.0.1:${port}`
  await untilReady(prometheus, async () => (await fetch(`${url}/-/ready`)).ok)
  const owned = cleanup.move()
  return {
    query: async (expr) => samplesOf(await ask(`${url}/api/v1/query?query=${encodeURIComponent(expr)}`)),
    alerts: async () => alertsOf(await ask(`${url}/api/v1/rules`)),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** The documented one; only quicker, and at the test's port. */
export async function configuration(metricsPort: number): Promise<string> {
  const page = await readFile(new URL('../../docs/monitoring.md', import.meta.url), 'utf8')
  const block = /^```yaml\n(?<text>rule_files:.*?)^```$/ms.exec(page)?.groups?.['text']
  if (!block) throw new Error('docs/monitoring.md has no block that begins with rule_files')
  const text = adapt(block, [[/127\.0\.0\.1:9000/, `127.0.0.1:${metricsPort}`]])
  return `global: {scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 1s}\n${text}`
}

async function ask(url: string): Promise<unknown> {
  const answer = await fetch(url)
  const text = await answer.text()
  const { status, data }: { readonly status: string; readonly data: unknown } = JSON.parse(text)
  if (status !== 'success') throw new Error(`Prometheus answered ${answer.status}: ${text}`)
  return data
}

function samplesOf(data: unknown): readonly Sample[] {
  const { result } = data as {
    readonly result: readonly { metric: Record<string, string>; value: readonly [number, string] }[]
  }
  return result.map(({ metric, value: [, text] }) => ({ labels: metric, value: Number(text) }))
}

function alertsOf(data: unknown): readonly Alert[] {
  const { groups } = data as { readonly groups: readonly { readonly rules: readonly GivenRule[] }[] }
  return groups.flatMap(({ rules }) =>
    rules.map(({ name, state, health, alerts }) => {
      const summaries = alerts.map(({ annotations }) => annotations['summary'] ?? '')
      return { name, state, health, summaries }
    }),
  )
}

interface GivenRule extends Pick<Alert, 'name' | 'state' | 'health'> {
  readonly alerts: readonly { readonly annotations: Readonly<Record<string, string>> }[]
}
