import { Command } from 'commander'
import { importArchiveCommand } from './archive-import.ts'
import { importCommand } from './import-flags.ts'
import { importHomeserver } from './import-homeserver.ts'
import { importMmrCommand } from './import-mmr.ts'

/** `cellarium import …`: media from elsewhere. What each comes from is one line. */
export function importCommands(): Command {
  return new Command('import')
    .description('bring here what a homeserver or another media repository has')
    .addCommand(importMmrCommand())
    .addCommand(importArchiveCommand())
    .addCommand(importCommand('synapse', (flags) => importHomeserver('synapse', flags, 'dashed')))
    .addCommand(importCommand('dendrite', (flags) => importHomeserver('dendrite', flags, 'dashed')))
}
