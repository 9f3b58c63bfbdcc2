import type { ConfigStore } from '../config/store.ts'
import type { Clock } from '../lib/clock.ts'
import type { EventParts } from '../lib/events.ts'
import { pluginsLeftOut } from '../lib/gate-events.ts'
import { Gates } from '../media/gates/gates.ts'
import type { LookAt } from '../media/gates/perceptual.ts'
import { ShownFiles } from '../media/gates/shown-files.ts'
import { type LooksParts, looksOf } from '../thumbnails/looks.ts'
import { newToken } from './names.ts'

interface GatesNeed extends LooksParts {
  readonly events: EventParts
  readonly clock: Clock
}

/** What every file passes before it is stored. The start waits for its lists, but not for long. */
export async function openGates(
  parts: AsyncDisposableStack,
  config: ConfigStore,
  { events, clock, thumbnailPool, scratch }: GatesNeed,
): Promise<{ readonly gates: Gates; readonly shownFiles: ShownFiles }> {
  const shownFiles = new ShownFiles(newToken)
  const lookAt: LookAt = async (path, name, signal) => {
    const { homeservers, main } = config.current()
    const { thumbnails } = homeservers.find((homeserver) => homeserver.name === name) ?? main
    const { hash, quality } = await looksOf({ thumbnailPool, scratch }, path, thumbnails, signal)
    return { hash: Buffer.from(hash, 'hex'), quality }
  }
  const gates = parts.use(new Gates({ events, clock, shownFiles, lookAt, newToken }))
  const { moderation, plugins } = config.current().main
  if (plugins.length > 0) pluginsLeftOut(events)
  await gates.configure(moderation)
  parts.defer(config.onChange((next) => void gates.configure(next.main.moderation)))
  return { gates, shownFiles }
}
