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

/** Stands for paths whose words are those of another method's: they have nothing for this one. */
const WRONG_METHOD = Symbol('wrong method')

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
  for (const [path, method] of shadowed(router, routes)) router.on(method, path, () => {}, WRONG_METHOD)
  return {
    find(method, target) {
      const found = isKnown(method) ? router.find(method, target) : null
      if (isRoute(found?.store)) return { route: found.store, params: found.params }
      // Only the handler for addresses that cannot be decoded has nothing stored.
      if (found && !found.store) throw new Refused('bad_request', 'the address has a percent sign that encodes nothing')
      const allowed = METHODS.filter((other) => isRoute(router.find(other, target)?.store))
      if (allowed.length === 0) throw new Refused('unrecognized', 'Unrecognized request')
      throw new Refused('wrong_method', `Use ${allowed.join(' or ')} here`, { allow: [...allowed, 'OPTIONS'] })
    },
  }
}

const isRoute = (stored: unknown): stored is Route => stored !== undefined && stored !== WRONG_METHOD && stored !== null

/**
 * `tasks/all` is a list that can only be read: `DELETE tasks/all` must not be taken for that of a task called `all`. So what a path with
 * words has for some methods only is refused for the others, also where a path with places for any word would take it.
 */
function shadowed(
  router: ReturnType<typeof findMyWay>,
  routes: readonly Route[],
): [path: string, method: HTTPMethod][] {
  const methodsOf = new Map<string, readonly Method[]>()
  for (const { paths, methods } of routes) {
    for (const path of paths) methodsOf.set(path, [...(methodsOf.get(path) ?? []), ...methods])
  }
  return [...methodsOf].flatMap(([path, own]) =>
    METHODS.filter((method) => !own.includes(method) && router.find(method, path)).map(
      (method): [string, HTTPMethod] => [path, method],
    ),
  )
}

function isKnown(method: string): method is Method {
  return (METHODS as readonly string[]).includes(method)
}
