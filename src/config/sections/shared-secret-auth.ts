import { flag, mainOnly, option, section, text } from '../option.ts'

export const sharedSecretAuth = section('A token for scripts that acts as a repository administrator.', {
  enabled: option(flag(), false, { ...mainOnly, description: 'Accept the token.' }),
  token: option(text(), '', {
    ...mainOnly,
    secret: true,
    example: 'a long random value',
    description: 'The token. Make it long and random.',
  }),
})
