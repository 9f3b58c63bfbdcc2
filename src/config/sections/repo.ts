import { anywhere, atStart, choice, flag, mainOnly, option, section, text, whole } from '../option.ts'

const LOG_LEVELS = ['panic', 'fatal', 'error', 'warn', 'warning', 'info', 'debug', 'trace'] as const

export const repo = section('The server itself: where it listens, what it logs, where it keeps its own files.', {
  bindAddress: option(text(), '127.0.0.1', {
    ...atStart,
    description: 'Address to listen on. 0.0.0.0 (or ::) for all; a reverse proxy belongs in front.',
  }),
  port: option(whole({ min: 0, max: 65535 }), 8000, {
    ...atStart,
    description: 'Port to listen on; 0 takes a free one.',
  }),
  logDirectory: option(text(), 'logs', {
    ...atStart,
    description: 'Folder for daily log files, kept 14 days, besides the terminal. "-" or "" logs to the terminal only.',
  }),
  logColors: option(flag(), false, { ...atStart, description: 'Coloured log lines on the terminal.' }),
  jsonLogs: option(flag(), false, { ...atStart, description: 'Log lines as JSON objects.' }),
  logLevel: option(choice(LOG_LEVELS), 'info', { ...atStart, description: 'The least important lines to log.' }),
  trustAnyForwardedAddress: option(flag(), false, {
    ...mainOnly,
    description:
      'Take the client address from X-Forwarded-For whatever it says. Otherwise only a public address that the proxy put there counts.',
  }),
  useForwardedHost: option(flag(), true, {
    ...mainOnly,
    description: 'Let X-Forwarded-Host say which homeserver is addressed, before Host.',
  }),
  freezeUnauthenticatedMedia: option(flag(), true, {
    ...anywhere,
    description:
      'New media can be fetched only with an access token (authenticated media of Matrix 1.11). Turning it off later does not open media that came while it was on.',
  }),
  allowQueryToken: option(flag(), true, {
    ...mainOnly,
    description: 'Accept access tokens in the address (?access_token=) too. They end up in the logs of proxies.',
  }),
  dataPath: option(text(), './data', {
    ...atStart,
    description:
      'Folder of the SQLite database, the generated admin token and the default media folder. The flag --data and CELLARIUM_DATA win over it.',
  }),
})
