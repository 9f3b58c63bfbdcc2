import { systemClock } from '../../../src/lib/clock.ts'
import { dial, type Dial } from '../../../src/lib/dial.ts'
import { NameLookup } from '../../../src/lib/name-lookup.ts'
import { ALICE, startApp, type TestApp } from '../app.ts'
import { type DnsServer, startDns } from '../dns-server.ts'
import type { Asked } from './ask.ts'
import type { LocalWeb } from './server.ts'

export interface PreviewingApp extends AsyncDisposable {
  readonly app: TestApp
  /** For `previewOf`. */
  readonly asked: Asked
  readonly dns: DnsServer
  /** Every address that it dialled, for previews or anything else. */
  readonly dialled: readonly string[]
}

/** Everything that a page of the local web may turn out to be. */
export const ALL_TYPES = [
  'image/*',
  'video/*',
  'audio/*',
  'application/pdf',
  'text/plain',
  'application/atom+xml',
  'application/rss+xml',
]

/**
 * Cellarium, in the test's own process, in a network where names are what the test's DNS says, and the sites of the local web are
 * where it is. Connections are real ones.
 */
export async function startPreviewing(
  web: Pick<LocalWeb, 'hosts' | 'address'>,
  urlPreviews: Readonly<Record<string, unknown>> = {},
): Promise<PreviewingApp> {
  await using cleanup = new AsyncDisposableStack()
  const dns = cleanup.use(await startDns())
  for (const host of web.hosts) dns.set(host, { A: [web.address] })
  const dialled: string[] = []
  const noting: Dial = (addresses, port, options) => {
    dialled.push(...addresses)
    return dial(addresses, port, options)
  }
  const lookup = new NameLookup({ clock: systemClock, servers: [dns.address], hostsFile: '/nonexistent' })
  const app = cleanup.use(
    await startApp({
      network: { dial: noting, lookup },
      // For ffmpeg and the like.
      environment: { PATH: process.env['PATH'] },
      config: {
        rateLimit: { enabled: false },
        urlPreviews: {
          allowedNetworks: [`${web.address}/32`],
          disallowedNetworks: [],
          filePreviewTypes: ALL_TYPES,
          oEmbed: true,
          ...urlPreviews,
        },
      },
    }),
  )
  const owned = cleanup.move()
  return {
    app,
    asked: { port: app.port, token: ALICE.token },
    dns,
    dialled,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
