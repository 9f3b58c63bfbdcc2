import type { Command } from 'commander'
import { importAlias } from './import-flags.ts'
import { importHomeserver } from './import-homeserver.ts'

/** MMR's `import_synapse`. */
export const importSynapseCommand = (): Command =>
  importAlias('synapse', (flags) => importHomeserver('synapse', flags, 'go'))

/** MMR's `import_dendrite`. */
export const importDendriteCommand = (): Command =>
  importAlias('dendrite', (flags) => importHomeserver('dendrite', flags, 'go'))
