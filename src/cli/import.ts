import { Command } from 'commander'
import { importMmrCommand } from './import-mmr.ts'

/** `cellarium import mmr`: what other media repositories have, brought here. */
export function importCommand(): Command {
  return new Command('import')
    .description('bring here what another media repository has')
    .addCommand(importMmrCommand())
}
