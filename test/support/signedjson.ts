/** The Python packages with which Synapse signs and checks, from the environment that Synapse is installed in. */
import { temporaryFolder } from './folder.ts'
import { runProgram } from './processes.ts'
import { requireService } from './services.ts'

const PRELUDE = `
import json, sys
from canonicaljson import encode_canonical_json
from signedjson.key import read_signing_keys, decode_verify_key_base64, encode_verify_key_base64, get_verify_key
from signedjson.sign import sign_json, verify_signed_json, SignatureVerifyException
given = json.load(open(sys.argv[1]))
`

/** Runs Python with \`given\` and the functions above; gives what the variable \`result\` holds at the end. */
export async function inPython(script: string, given: unknown): Promise<unknown> {
  const program = `${PRELUDE}${script}\nprint(json.dumps(result))`
  await using folder = await temporaryFolder()
  const file = await folder.write('given.json', JSON.stringify(given))
  const command = [requireService('synapse'), '-c', program, file]
  return JSON.parse(await runProgram({ command }))
}
