import { Command } from 'commander'
import { systemClock } from '../lib/clock.ts'
import { KEY_FORMATS } from '../matrix/keys/key-files.ts'
import { combineKeys, generateKey, type KeyOptions, reportKeyProblems } from './key-files.ts'
import { revocation, type RevokeOptions } from './keys-revoke.ts'

type Writing = KeyOptions & { readonly force?: true }

/** `cellarium keys generate | combine | revoke`: needs neither a configuration nor a server. */
export function keysCommand(): Command {
  const command = new Command('keys').description('make, combine and revoke the signing keys of homeservers')
  writing(command, 'generate', 'make a signing key, or write an existing one in another format')
    .option('--input <file>', 'write the first key of this file instead of a new one')
    .action((options: Writing & { readonly input?: string }) =>
      reportKeyProblems(() => generateKey({ ...options, replace: options.force === true })),
    )
  writing(command, 'combine', 'write the keys of several files into one; the first of the first file signs')
    .argument('<files...>', "the homeserver's key first, then those to be added")
    .action((inputs: readonly string[], options: Writing) =>
      reportKeyProblems(() => combineKeys({ ...options, inputs, replace: options.force === true })),
    )
  command
    .command('revoke')
    .description('print what makes a key an old one; nothing is changed')
    .argument('<file>', 'the file with the key')
    .option('--key <id>', 'which key, such as ed25519:a_AbCd, where the file has several')
    .option('--expired <ms>', 'when it stopped being used, in ms since 1970 (default: now)')
    .action((file: string, options: RevokeOptions) =>
      reportKeyProblems(async () => console.log(await revocation(file, options, systemClock.now()))),
    )
  return command
}

function writing(parent: Command, name: string, description: string): Command {
  return parent
    .command(name)
    .description(description)
    .option('--format <format>', KEY_FORMATS.join(', '), 'mmr')
    .option('--output <file>', 'where to; readable for you only', './signing.key')
    .option('--force', 'replace the file if there is one')
}
