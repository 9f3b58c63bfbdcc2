import { randomBytes } from 'node:crypto'
import { open } from 'node:fs/promises'
import { formatKeys, KEY_FORMATS, type KeyFormat, KeyFileError, readKeyFile } from '../matrix/keys/key-files.ts'
import { newSigningKey, type SigningKey } from '../matrix/keys/signing-key.ts'

/** What MMR's tools take; the defaults are theirs. */
export interface KeyOptions {
  readonly format: string
  readonly output: string
}

const FAILED = 1
const OWNER_ONLY = 0o600

/**
 * Writes a new key, or the first one of the file `input`, as MMR's `generate_signing_key` does. An existing file is only replaced if
 * `replace` says so: it may be the key that everybody knows.
 *
 * @throws {KeyFileError}
 */
export async function generateKey(
  options: KeyOptions & { readonly input?: string; readonly replace: boolean },
): Promise<void> {
  const format = formatNamed(options.format)
  const key = options.input ? (await readKeyFile(options.input))[0] : newSigningKey(randomBytes)
  console.log(`Key ID will be '${key.id}'`)
  await writeKeys([key], { ...options, format })
}

/**
 * Writes the keys of all files into one, in their order: the first one stays the one that signs.
 *
 * @throws {KeyFileError} also when two have the same version; nothing is written then
 */
export async function combineKeys(
  options: KeyOptions & { readonly inputs: readonly string[]; readonly replace: boolean },
): Promise<void> {
  const format = formatNamed(options.format)
  const all = new Map<string, { readonly key: SigningKey; readonly file: string }>()
  for (const file of options.inputs) {
    console.log(`Reading ${file}`)
    for (const key of await readKeyFile(file)) {
      const same = all.get(key.version)
      if (same) throw duplicate(key, same, file)
      all.set(key.version, { key, file })
    }
  }
  if (all.size === 0) throw new KeyFileError('no key to combine: name the files, first the one whose key signs')
  await writeKeys(
    [...all.values()].map(({ key }) => key),
    { ...options, format },
  )
}

/** Says what is wrong with a key file or its name, and ends the process with status 1 in time; other errors are thrown on. */
export async function reportKeyProblems(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof KeyFileError)) throw error
    console.error(error.message)
    process.exitCode = FAILED
  }
}

function formatNamed(name: string): KeyFormat {
  const format = KEY_FORMATS.find((known) => known === name)
  if (format) return format
  throw new KeyFileError(
    `Unknown output format '${name}': it has to be ${KEY_FORMATS.join(', ')}. Try -help for information.`,
  )
}

function duplicate(
  key: SigningKey,
  same: { readonly key: SigningKey; readonly file: string },
  file: string,
): KeyFileError {
  const what = `Duplicate key version '${key.version}' detected, in ${same.file} and ${file}`
  return key.publicKey === same.key.publicKey
    ? new KeyFileError(`${what}: it is the same key; leave one of the files out`)
    : new KeyFileError(`${what}: they are different keys; make one of them anew`)
}

/** Written in place where it exists, so that it stays its owner's; the keys to be written have been read before. */
async function writeKeys(
  keys: readonly SigningKey[],
  { format, output, replace }: { readonly format: KeyFormat; readonly output: string; readonly replace: boolean },
): Promise<void> {
  try {
    await using file = await open(output, replace ? 'w' : 'wx', OWNER_ONLY)
    await file.chmod(OWNER_ONLY)
    await file.writeFile(formatKeys(keys, format))
    await file.sync()
  } catch (cause) {
    throw new KeyFileError(`${output} ${whyNotWritten(cause)}`, { cause })
  }
  console.log(`Done! Signing key written to '${output}' in ${format} format`)
}

function whyNotWritten(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  return code === 'EEXIST' ? 'exists already; --force replaces it' : `cannot be written: ${message}`
}
