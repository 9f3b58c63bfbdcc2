import { testFederation } from '../../matrix/federation-test.ts'
import { json } from '../answers.ts'
import { described } from '../described.ts'
import { anyObject } from '../json-schema.ts'
import { serverName } from '../parameters.ts'

/** MMR's answer, and each step on the way to it with its time in ms. */
export const test = described(
  {
    summary: 'Tries to reach another server, and shows each step',
    chapter: 'Federation',
    example: { serverName: '$OTHER_SERVER' },
    path: { serverName: serverName({ description: 'The other server.' }) },
    answer: anyObject("MMR's `base_url`, `hostname` and `versions_response`, and the steps on the way."),
  },
  async (parts, call, { path }) => {
    const tested = await testFederation(parts.federation, path.serverName, call.signal)
    // What failed before need not fail any more.
    parts.remote.forgetFailures(path.serverName)
    return json(tested)
  },
)
