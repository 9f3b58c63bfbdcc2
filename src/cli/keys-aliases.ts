import { Command } from 'commander'
import { fromGoFlags } from './go-flags.ts'
import { combineKeys, generateKey, type KeyOptions, reportKeyProblems } from './key-files.ts'

/** MMR's `generate_signing_key`, with its flags, defaults and habit of replacing files. */
export function generateSigningKeyCommand(): Command {
  const command = withFlags(
    'generate_signing_key',
    'make a signing key (MMR’s name for `keys generate`, with its flags)',
  )
    .option('--input <file>', 'write the first key of this file instead of a new one')
    .action((options: KeyOptions & { readonly input?: string }) =>
      reportKeyProblems(() => generateKey({ ...options, replace: true })),
    )
  return fromGoFlags(command)
}

/** MMR's `combine_signing_keys`. */
export function combineSigningKeysCommand(): Command {
  const command = withFlags(
    'combine_signing_keys',
    'combine signing keys (MMR’s name for `keys combine`, with its flags)',
  )
    .argument('[files...]', "the homeserver's key first, then those to be added")
    .action((inputs: readonly string[], options: KeyOptions) =>
      reportKeyProblems(() => combineKeys({ ...options, inputs, replace: true })),
    )
  return fromGoFlags(command)
}

function withFlags(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .option('--format <format>', "the output format: 'mmr', 'synapse' or 'dendrite'", 'mmr')
    .option('--output <file>', 'the output file', './signing.key')
}
