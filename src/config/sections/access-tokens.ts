import { z } from 'zod'
import { anywhere, flag, needed, option, section, text, textThat, wholeFromZero } from '../option.ts'

const namespace = z.object({
  regex: needed(textThat(isRegex, 'a regular expression that JavaScript understands'), {
    ...anywhere,
    example: '@_bridge_.+:example\\.org',
    description: 'User ids that the application service may act as; it has to match the whole id.',
  }),
})

const appservice = z.object({
  id: option(text(), '', { ...anywhere, example: 'bridge', description: 'Its name, for the log.' }),
  asToken: needed(
    textThat((value) => value !== '', 'the as_token of its registration'),
    {
      ...anywhere,
      secret: true,
      example: 'the as_token of its registration',
      description: 'The as_token of its registration.',
    },
  ),
  senderUserId: option(text(), '', {
    ...anywhere,
    example: '@bridge:example.org',
    description: 'The user it is when it names none.',
  }),
  userNamespaces: option(z.array(namespace), [], { ...anywhere, description: 'The users it may act as.' }),
})

export const accessTokens = section('How access tokens are checked.', {
  maxCacheTimeSeconds: option(wholeFromZero(), 0, {
    ...anywhere,
    description:
      'How long the homeserver’s word on a token is remembered, in seconds; 0 = it is asked for every request. /logout must come through this server when it is not 0.',
  }),
  useLocalAppserviceConfig: option(flag(), false, {
    ...anywhere,
    description: 'Check tokens of the application services below here, without asking the homeserver.',
  }),
  appservices: option(z.array(appservice), [], {
    ...anywhere,
    description: 'Application services known here; used with useLocalAppserviceConfig.',
  }),
})

function isRegex(value: string): boolean {
  try {
    return value !== '' && new RegExp(value) instanceof RegExp
  } catch {
    return false
  }
}
