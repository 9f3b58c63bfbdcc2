import { z } from 'zod'
import { complain, flag, mainOnly, option, text } from '../option.ts'

/** Nothing, and the values of MMR's built-in defaults and of its sample. */
const GUESSABLE = ['', 'ReplaceMe', 'PutSomeRandomSecureValueHere']

export const sharedSecretAuth = z
  .object({
    enabled: option(flag(), false, { ...mainOnly, description: 'Accept the token.' }),
    token: option(text(), '', {
      ...mainOnly,
      secret: true,
      example: 'a long random value',
      description: 'The token. Make it long and random.',
    }),
  })
  .superRefine(({ enabled, token }, context) => {
    if (!enabled || !GUESSABLE.includes(token)) return
    complain(context, ['token'], 'is empty or that of a sample, so that anybody could guess it; set a long random one')
  })
  .prefault({})
  .meta({ description: 'A token for scripts that acts as a repository administrator.' })
