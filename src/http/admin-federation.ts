import { testFederation } from '../matrix/federation-test.ts'
import { type Answer, json } from './answers.ts'
import type { Call } from './call.ts'
import type { HttpParts } from './parts.ts'

/** `GET admin/federation/test/{server}`: MMR's answer, and each step on the way to it with its time in ms. */
export async function test(parts: HttpParts, call: Call): Promise<Answer> {
  return json(await testFederation(parts.federation, call.param('serverName'), call.signal))
}
