import type { KeyFileError } from './key-files.ts'
import type { KeyOwner } from './own-keys.ts'

/** Where each homeserver's configuration names its own key. */
const OWN_KEY = {
  synapse: 'signing_key_path in homeserver.yaml',
  dendrite: 'global.private_key in dendrite.yaml',
  matrix: "the homeserver's own signing key",
} as const

/**
 * What an administrator has to do so that a homeserver can sign its requests: commands that can be copied, with the one name in
 * capital letters that only the administrator knows.
 */
export function howToMend(owner: KeyOwner, problem: KeyFileError | undefined): string {
  const { signingKeyPath, adminApiKind } = owner
  if (problem?.why === 'unreadable')
    return `Let the user that runs Cellarium read it: chown USER ${quoted(signingKeyPath)}`
  const path = signingKeyPath || `${owner.name.replaceAll(/[^A-Za-z0-9.-]/g, '_')}.signing.key`
  const format = adminApiKind === 'dendrite' ? 'dendrite' : 'synapse'
  const steps = [
    `${problem?.why === 'unusable' ? `Move ${quoted(path)} away and make another` : 'Make one'}: cellarium keys generate --output ${quoted(path)}`,
    `add it to the homeserver's: cellarium keys combine --format ${format} --output merged.key HOMESERVER_KEY ${quoted(path)}`,
    `(HOMESERVER_KEY: ${OWN_KEY[adminApiKind]})`,
  ]
  const last = signingKeyPath ? '' : `, and name the new key in homeservers[].signingKeyPath`
  return `${steps.join('; ').replace('; (', ' (')}; put merged.key in the place of HOMESERVER_KEY and restart the homeserver${last}`
}

/** As a shell reads it. */
function quoted(path: string): string {
  return /^[\w./+:@-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`
}
