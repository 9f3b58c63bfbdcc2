import { expect, test } from 'vitest'
import { PRIVATE_NETWORKS } from '../config/networks.ts'
import { openMetrics } from '../lib/metrics.ts'
import { recordingLog } from '../../test/support/log.ts'
import { openFederation } from './federation-door.ts'

/** The warnings at the start with these variables. */
async function warningsWith(environment: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const { log, lines } = recordingLog()
  const events = { log, metrics: openMetrics({ version: 'test' }) }
  const options = { backoffAt: 20, allowedNetworks: ['0.0.0.0/0', '::/0'], disallowedNetworks: PRIVATE_NETWORKS }
  const clock = { now: () => 0 }
  await using _ = openFederation({ events, clock, random: () => 0.5, environment, options })
  return lines.map(({ msg }) => msg)
}

test.each(['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy', 'ALL_PROXY', 'all_proxy'])(
  'With %s set the start says that it is not used for other servers',
  async (name) => {
    expect(await warningsWith({ [name]: 'http://proxy.example:3128' })).toEqual([
      expect.stringContaining(`${name} is set, and not used for other servers`),
    ])
  },
)

test('Locks that are off are said loudly, and nothing is said where there is nothing to say', async () => {
  expect(await warningsWith({ MEDIA_REPO_UNSAFE_FEDERATION: 'true' })).toEqual([expect.stringContaining('NOT CHECKED')])
  expect(await warningsWith({ MEDIA_REPO_HTTP_ONLY_FEDERATION: 'true' })).toEqual([
    expect.stringContaining('WITHOUT ENCRYPTION'),
  ])
  const off = { MEDIA_REPO_UNSAFE_FEDERATION: 'false', MEDIA_REPO_HTTP_ONLY_FEDERATION: '', HTTPS_PROXY: '' }
  expect(await warningsWith(off)).toEqual([])
})
