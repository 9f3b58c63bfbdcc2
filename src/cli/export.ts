import { Command } from 'commander'
import { exportSynapseCommand } from './export-flags.ts'
import { exportSynapse } from './export-synapse.ts'

/** `cellarium export …`: media to elsewhere. What each goes to is one line. */
export function exportCommands(): Command {
  return new Command('export')
    .description('take what is here to a homeserver or into an archive')
    .addCommand(exportSynapseCommand((flags) => exportSynapse(flags, 'dashed')))
}
