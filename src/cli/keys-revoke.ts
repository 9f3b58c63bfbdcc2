import { KeyFileError, readKeyFile } from '../matrix/keys/key-files.ts'
import type { SigningKey } from '../matrix/keys/signing-key.ts'

export interface RevokeOptions {
  /** `ed25519:<version>`, or the version alone. */
  readonly key?: string
  /** In ms since 1970. */
  readonly expired?: string
}

/**
 * What an administrator has to write where, so that nobody accepts new signatures by a key and old events can still be checked: the
 * public half goes into the homeserver's list of old keys, the private one out of its files.
 *
 * @throws {KeyFileError}
 */
export async function revocation(file: string, options: RevokeOptions, now: number): Promise<string> {
  const key = pick(await readKeyFile(file), file, options.key)
  const expired = options.expired === undefined ? now : momentOf(options.expired)
  return `To revoke ${key.id} (${file}):

1. Take the key out of every file that holds it: the homeserver's own key file and the file that signingKeyPath names. If it was
   the only one there, make another first: cellarium keys generate --output new.key
2. Tell the homeserver that it was a key once, so that what it signed can still be checked.

   Synapse, in homeserver.yaml:

old_signing_keys:
  "${key.id}": { key: "${key.publicKey}", expired_ts: ${expired} }

   Dendrite, in dendrite.yaml:

global:
  old_private_keys:
    - public_key: "${padded(key.publicKey)}"
      key_id: "${key.id}"
      expired_at: ${expired}

   matrix-media-repo has no list of old keys: taking the key out of its file is all.
3. Restart the homeserver. Cellarium reads its key files again within seconds.

Other servers may accept the key for as long as they had been told before, seven days at most.`
}

function pick(keys: readonly [SigningKey, ...SigningKey[]], file: string, wanted: string | undefined): SigningKey {
  const ids = keys.map(({ id }) => id).join(', ')
  if (wanted === undefined) {
    if (keys.length === 1) return keys[0]
    throw new KeyFileError(`${file} holds ${ids}: say which one with --key`)
  }
  const found = keys.find(({ id, version }) => id === wanted || version === wanted)
  if (!found) throw new KeyFileError(`${file} holds ${ids}, and no key ${wanted}`)
  return found
}

function momentOf(text: string): number {
  if (/^\d{12,14}$/.test(text)) return Number(text)
  throw new KeyFileError(`--expired has to be a time in ms since 1970, such as 1767225600000; it is "${text}"`)
}

function padded(base64: string): string {
  return base64.padEnd(Math.ceil(base64.length / 4) * 4, '=')
}
