/** What `docs/deploy/` gives administrators is what its programs read. The proxies have tests of their own. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { loadConfig } from '../../src/config/load.ts'
import { temporaryFolder } from '../support/folder.ts'
import { findProgram, runProgram } from '../support/processes.ts'

const file = (path: string) => new URL(`../../docs/deploy/${path}`, import.meta.url)
const text = (path: string) => readFile(file(path), 'utf8')

describe('docs/deploy', () => {
  test('the configuration for compose.yaml can be used as it stands, without a warning', async () => {
    const { warnings, homeservers, datastores } = await loadConfig({ path: file('media-repo.yaml').pathname })
    expect(warnings).toEqual([])
    expect(homeservers.map(({ csApi }) => csApi)).toEqual(['http://synapse:8008'])
    expect(datastores.map(({ id }) => id)).toEqual(['objects'])
  })

  test('compose.yaml starts every service that the configuration names', async () => {
    const { services, volumes, networks } = parse(await text('compose.yaml'), { merge: true })
    const { main, datastores } = await loadConfig({ path: file('media-repo.yaml').pathname })
    for (const named of [
      main.database.postgres,
      main.homeservers[0]?.csApi,
      `tcp://${main.redis.shards[0]?.addr ?? ''}`,
    ]) {
      expect(Object.keys(services)).toContain(new URL(named ?? '').hostname)
    }
    for (const [name, service] of Object.entries<Record<string, unknown>>(services)) {
      expect([name, Object.keys(networks)]).toEqual([name, service['networks']])
      for (const needed of Object.keys(Object(service['depends_on']))) expect(Object.keys(services)).toContain(needed)
      const named = (service['volumes'] as string[] | undefined)?.filter((volume) => /^\w/.test(volume)) ?? []
      for (const volume of named) expect(Object.keys(volumes)).toContain(volume.split(':')[0])
    }
    const bucket = datastores[0]?.opts['bucketName']
    expect(services.s3.volumes, 'nobody makes the bucket').toEqual([`objects:${services.s3.command.at(-1)}/${bucket}`])
    expect(services.cellarium).toMatchObject({ entrypoint: ['media_repo'], read_only: true, cap_drop: ['ALL'] })
  })

  test('the Kubernetes manifests name each other rightly', async () => {
    const documents = parseAllDocuments(await text('kubernetes/cellarium.yaml'))
    expect(documents.flatMap(({ errors }) => errors)).toEqual([])
    const [deployment, service, budget, ingress] = documents.map((document) => document.toJS())
    const { template, selector } = deployment.spec
    const [container] = template.spec.containers
    for (const selected of [selector.matchLabels, service.spec.selector, budget.spec.selector.matchLabels]) {
      expect(template.metadata.labels).toEqual(selected)
    }
    const ports = container.ports.map(({ name }: { readonly name: string }) => name)
    for (const { targetPort } of service.spec.ports) expect(ports).toContain(targetPort)
    const volumes = template.spec.volumes.map(({ name }: { readonly name: string }) => name)
    for (const { name } of container.volumeMounts) expect(volumes).toContain(name)
    for (const { backend } of ingress.spec.rules[0].http.paths) expect(backend.service.name).toBe(service.metadata.name)
  })

  test.skipIf(!findProgram('systemd-analyze'))('the unit is one that systemd takes', async () => {
    const unit = (await text('systemd/cellarium.service')).replace('/opt/cellarium/bin/cellarium', process.execPath)
    await using folder = await temporaryFolder({ 'cellarium.service': unit })
    const printed = await runProgram({ command: ['systemd-analyze', 'verify', join(folder.path, 'cellarium.service')] })
    expect(printed.split('\n').filter((line) => line.includes('cellarium.service'))).toEqual([])
  })
})
