import { testFederation } from '../matrix/federation-test.ts'
import { type Answer, json } from './answers.ts'
import type { Call } from './call.ts'
import type { HttpParts } from './parts.ts'

/** `GET admin/federation/test/{server}`: MMR's answer, and each step on the way to it with its time in ms. */
export async function test(parts: HttpParts, call: Call): Promise<Answer> {
  const serverName = call.param('serverName')
  const tested = await testFederation(parts.federation, serverName, call.signal)
  // What failed before need not fail any more.
  parts.remote.forgetFailures(serverName)
  return json(tested)
}
