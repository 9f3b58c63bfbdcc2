import { sign } from 'node:crypto'
import { identifyServer, type ReceivedRequest, signRequest } from '../../src/matrix/x-matrix.ts'
import { isSignature, publicKeyOf, type SigningKey } from '../../src/matrix/keys/signing-key.ts'
import { RemoteKeys } from '../../src/matrix/keys/remote-keys.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { openMetrics } from '../../src/lib/metrics.ts'
import { keyBody, newKey } from '../../test/support/key-servers.ts'
import { recordingLog } from '../../test/support/log.ts'
import { inTurn } from '../in-turn.ts'
import type { Aim, Row } from '../row.ts'

const REQUESTS = 1000
const HOUR_MS = 3_600_000

/** Requests of a server whose keys are known, from raw headers to the caller, against the bare check of a signature. */
export function xMatrix({ name, aim }: { readonly name: string; readonly aim: Aim }): Row {
  return {
    name,
    title: 'signatures of other servers checked, their keys known, on one core',
    unit: 'requests/s',
    reference: 'ed25519 alone',
    aim,
    async measure({ rounds, seconds }) {
      const key = newKey('bench')
      await using remoteKeys = keysOf(key)
      const requests = Array.from({ length: REQUESTS }, (_, at) => requestOf(key, at))
      const identify = async (at: number) => {
        const request = requests[at % REQUESTS]
        if (request) await identifyServer({ remoteKeys }, request)
      }
      return await inTurn({
        rounds,
        serverPid: process.pid,
        own: async () => ({ value: await perSecond(seconds, identify) }),
        reference: () => perSecond(seconds, bareCheck(key)),
      })
    },
  }
}

async function perSecond(seconds: number, work: (at: number) => unknown): Promise<number> {
  const began = performance.now()
  let done = 0
  while (performance.now() - began < seconds * 1000) for (let at = 0; at < 100; at++) await work(done++)
  return done / ((performance.now() - began) / 1000)
}

function bareCheck(key: SigningKey): () => void {
  const bytes = Buffer.alloc(200, 'x')
  const signature = sign(null, bytes, key.privateKey)
  const publicKey = publicKeyOf(key.publicKey)
  if (!publicKey) throw new Error('no key')
  return () => void isSignature(bytes, signature, publicKey)
}

function keysOf(key: SigningKey): RemoteKeys {
  const body = Buffer.from(
    JSON.stringify(keyBody('a.example', { keys: [key], validUntil: systemClock.now() + 24 * HOUR_MS })),
  )
  const events = { log: recordingLog().log, metrics: openMetrics({ version: 'bench' }) }
  const request = async () => ({ status: 200, body })
  return new RemoteKeys({ request, notaries: () => [], clock: systemClock, events })
}

function requestOf(key: SigningKey, at: number): ReceivedRequest {
  const target = `/_matrix/federation/v1/media/download/AbCdEfGhIjKlMnOpQrStUvWx${at}?timeout_ms=20000`
  const authorization = signRequest({ method: 'GET', uri: target, origin: 'a.example', destination: 'b.example' }, key)
  const rawHeaders = ['Host', 'b.example', 'User-Agent', 'bench', 'Authorization', authorization, 'Accept', '*/*']
  return { method: 'GET', target, rawHeaders, homeserver: 'b.example' }
}
