/** What happens to signing keys, ours and those of other servers. As `events.ts`. */
import type { EventParts, LogAndMetrics } from './events.ts'

export interface SigningKeyState {
  /** The homeserver's name. */
  readonly host: string
  /** Its `signingKeyPath`. */
  readonly path: string
}

/** A homeserver's signing key was read, for the first time or because its file is another now. */
export function signingKeyRead(
  { log, metrics }: LogAndMetrics,
  state: SigningKeyState & { readonly keyId: string; readonly publicKey: string },
): void {
  metrics.signingKeys.of(metrics.labels.host.admit(state.host)).set(1)
  log.info(state, 'requests to other servers are signed with this key')
}

/** A homeserver has no key to sign with; `mend` says what to do, to its end. */
export function signingKeyMissing(
  { log, metrics }: LogAndMetrics,
  { host, problem, mend }: { readonly host: string; readonly problem: string; readonly mend: string },
): void {
  metrics.signingKeys.of(metrics.labels.host.admit(host)).set(0)
  log.warn({ host }, `${host} cannot fetch authenticated media of other servers: ${problem}. ${mend}`)
}

/** A homeserver's key file became unusable while running. */
export function signingKeyKept(
  { log }: Pick<EventParts, 'log'>,
  { problem, ...state }: SigningKeyState & { readonly keyId: string; readonly problem: string },
): void {
  log.error(state, `the signing key cannot be read again, the one of before stays in use: ${problem}`)
}

/** Another server's keys were fetched, or could not be. */
export function remoteKeysFetched(
  { log, metrics }: LogAndMetrics,
  { origin, problem }: { readonly origin: string; readonly problem?: unknown },
): void {
  metrics.remoteKeys.of(problem === undefined ? 'done' : 'failed').add()
  if (problem === undefined) log.debug({ origin }, 'fetched the signing keys of a server')
  else log.info({ origin, err: problem }, 'could not fetch the signing keys of a server; its requests are refused')
}
