/** Runs Schemathesis: requests made from the API's own document, right ones and wrong ones, and checks of what comes back. */
import { temporaryFolder } from './folder.ts'
import { startProgram } from './processes.ts'
import { requireService } from './services.ts'

export interface TryOptions {
  /** The server, and the document that it gave. */
  readonly url: string
  readonly document: object
  /** Names as they are usually written: the check on missing tokens takes `Authorization` away. */
  readonly headers: Readonly<Record<string, string>>
  /** What not to try, as a regular expression on paths. */
  readonly leaveOut: string
  /** Requests for each operation, beside the edge cases of each parameter. */
  readonly examples: number
  readonly seed: number
}

export interface Tried {
  readonly code: number | null
  /** How many operations it sent requests to. */
  readonly operations: number
  /** How many requests it made up. */
  readonly requests: number
  /** All that it printed. */
  readonly report: string
}

/**
 * All that its checks can find in single requests. Not `positive_data_acceptance`: some 400s are of two parameters together, of what
 * there is, or of grammars that no pattern has (IPv6 addresses).
 */
const CHECKS = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_headers_conformance',
  'response_schema_conformance',
  'negative_data_rejection',
  'missing_required_header',
  'unsupported_method',
  'allow_header_conformance',
  'ignored_auth',
]

/**
 * 431 is Node's answer to very long addresses. A copy of what another server has is a 502 although nothing is wrong here: there is no such
 * server.
 */
const SETTINGS = `
[checks]
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 413, 431]

[[operations]]
include-path-regex = "/local_copy/"

[operations.checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "502"]
`

/** Tries a server. The same seed gives the same requests. */
export async function trySchema(options: TryOptions): Promise<Tried> {
  await using folder = await temporaryFolder({
    'openapi.json': JSON.stringify(options.document),
    'settings.toml': SETTINGS,
  })
  await using run = await startProgram({ command: commandOf(options), folder: folder.path })
  const { code } = await run.ended
  const report = run.lines.join('\n')
  const count = (pattern: RegExp) => Number(pattern.exec(report)?.[1] ?? 0)
  return { code, report, operations: count(/Tested: (\d+)/), requests: count(/^\s*(\d+) generated/m) }
}

function commandOf({ url, headers, leaveOut, examples, seed }: TryOptions): string[] {
  const settings = ['--no-color', '--config-file', 'settings.toml', 'run', 'openapi.json', '--url', url]
  const header = Object.entries(headers).flatMap(([name, value]) => ['--header', `${name}: ${value}`])
  const amount = ['--phases', 'examples,coverage,fuzzing', '-n', String(examples), '--seed', String(seed)]
  const wanted = ['--checks', CHECKS.join(','), '--exclude-path-regex', leaveOut, '--warnings', 'off']
  const rest = ['--continue-on-failure', '--generation-database', 'none', '--request-timeout', '60']
  return [requireService('schemathesis'), ...settings, ...header, ...amount, ...wanted, ...rest]
}
