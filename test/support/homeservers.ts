// `Homeservers` as the server opens it, with a clock that the test holds and a log that it can read.
import { pino } from 'pino'
import { openHomeservers } from '../../src/matrix/homeserver.ts'
import type { Forgotten, Homeservers } from '../../src/matrix/homeserver.ts'
import type { AccessTokenOptions, HomeserverOptions } from '../../src/matrix/options.ts'
import type { HomeserverDouble } from './homeserver.ts'

export interface HeldHomeservers extends AsyncDisposable {
  readonly homeservers: Homeservers
  /** Lets time pass, in ms. */
  readonly wait: (ms: number) => void
  /** The log so far, as one text. */
  readonly log: () => string
  /** What other instances would be told to forget. */
  readonly forgotten: readonly Forgotten[]
  /** What was told of whether they answer: `example.org users: no`. */
  readonly answers: readonly string[]
}

export function heldHomeservers(): HeldHomeservers {
  let now = Date.parse('2030-01-01T00:00:00Z')
  let text = ''
  const forgotten: Forgotten[] = []
  const answers: string[] = []
  const homeservers = openHomeservers({
    log: pino({ level: 'debug' }, { write: (line: string) => void (text += line) }),
    clock: { now: () => now },
    onForgotten: (one) => forgotten.push(one),
    onAnswers: ({ homeserver, purpose }, problem) =>
      answers.push(`${homeserver} ${purpose}: ${problem ? 'no' : 'yes'}`),
  })
  return {
    homeservers,
    forgotten,
    answers,
    wait: (ms) => void (now += ms),
    log: () => text,
    [Symbol.asyncDispose]: () => homeservers[Symbol.asyncDispose](),
  }
}

type Changes = Partial<Omit<HomeserverOptions, 'accessTokens'>> & {
  readonly accessTokens?: Partial<AccessTokenOptions>
}

/** The configuration of a double: no token cache, ten failures until it is left alone. */
export function optionsFor(double: HomeserverDouble, changes: Changes = {}): HomeserverOptions {
  const accessTokens = {
    maxCacheTimeSeconds: 0,
    useLocalAppserviceConfig: false,
    appservices: [],
    ...changes.accessTokens,
  }
  return {
    name: double.serverName,
    csApi: double.url,
    backoffAt: 10,
    adminApiKind: 'synapse',
    timeouts: { clientServerTimeoutSeconds: 5 },
    ...changes,
    accessTokens,
  }
}
