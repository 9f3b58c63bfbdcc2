import { Command } from 'commander'
import { type ExportFlags, exportSynapseCommand } from './export-flags.ts'
import { exportSynapse } from './export-synapse.ts'
import { archiveToSynapse } from './import-to-synapse.ts'

/** `cellarium export …`: media to elsewhere. What each goes to is one line. */
export function exportCommands(): Command {
  return new Command('export')
    .description('take what is here to a homeserver or into an archive')
    .addCommand(exportSynapseCommand(toSynapse))
}

async function toSynapse(flags: ExportFlags): Promise<void> {
  const { directory } = flags
  await (directory === undefined ? exportSynapse(flags, 'dashed') : archiveToSynapse({ ...flags, directory }, 'dashed'))
}
