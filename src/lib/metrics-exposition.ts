import { collectDefaultMetrics, Registry } from 'prom-client'

import type { Family } from './counts.ts'

/** What a scrape gets. */
export interface Exposition {
  readonly contentType: string
  render(): Promise<string>
}

/**
 * The given families and the usual figures of the process (memory, CPU, event loop, garbage collection; from prom-client, in
 * a registry of their own) in Prometheus's text format. Import this module only when metrics are wanted: prom-client costs
 * memory and start-up time.
 */
export function openExposition(families: readonly Family[]): Exposition {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  return {
    contentType: registry.contentType,
    async render() {
      const ours = families.map((family) => family.render())
      return [...ours, await registry.metrics()].join('\n')
    },
  }
}
