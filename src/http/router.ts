import findMyWay, { type HTTPMethod } from 'find-my-way'
import { Refused } from '../lib/errors.ts'
import type { Method, Route } from './route.ts'

export interface Match {
  readonly route: Route
  /** Decoded parameters of the path; an encoded slash in one is part of it. */
  readonly params: Readonly<Record<string, string | undefined>>
}

export interface Router {
  /** The route for a request target, or `unrecognized`, `wrong_method` or `bad_request`. */
  find(method: string, target: string): Match
}

const LONGEST_PARAM = 2048
const METHODS: readonly Method[] = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE']

/** Queries are read where they are asked for. */
const unread = () => ({})

/** Makes the router of a table of routes. */
export function makeRouter(routes: readonly Route[]): Router {
  const router = findMyWay({ maxParamLength: LONGEST_PARAM, onBadUrl: () => {}, querystringParser: unread })
  for (const route of routes) {
    for (const path of route.paths) router.on([...route.methods] as HTTPMethod[], path, () => {}, route)
  }
  return {
    find(method, target) {
      const found = isKnown(method) ? router.find(method, target) : null
      if (found?.store) return { route: found.store as Route, params: found.params }
      // Only the handler for addresses that cannot be decoded has no route.
      if (found) throw new Refused('bad_request', 'the address has a percent sign that encodes nothing')
      const allowed = METHODS.filter((other) => router.find(other, target)?.store)
      if (allowed.length === 0) throw new Refused('unrecognized', 'Unrecognized request')
      throw new Refused('wrong_method', `Use ${allowed.join(' or ')} here`, { allow: [...allowed, 'OPTIONS'] })
    },
  }
}

function isKnown(method: string): method is Method {
  return (METHODS as readonly string[]).includes(method)
}
