import { atStart, flag, option, section, text } from '../option.ts'

export const sentry = section('Reports of defects to Sentry.', {
  enabled: option(flag(), false, { ...atStart, description: 'Send them.' }),
  dsn: option(text(), '', {
    ...atStart,
    secret: true,
    example: 'https://key@sentry.example.org/1',
    description: 'Where to.',
  }),
  environment: option(text(), '', {
    ...atStart,
    example: 'production',
    description: 'Name of this installation in them.',
  }),
  debug: option(flag(), false, { ...atStart, description: 'Log what is sent.' }),
})
