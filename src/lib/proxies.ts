const PROXIES = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy', 'ALL_PROXY', 'all_proxy']

/** The variable of the environment that names a proxy, if there is one. */
export function proxyVariable(environment: Readonly<Record<string, string | undefined>>): string | undefined {
  return PROXIES.find((name) => environment[name])
}
