import { anywhere, option, section, whole } from '../option.ts'

export const timeouts = section('How long to wait for others, in seconds.', {
  urlPreviewTimeoutSeconds: option(whole({ min: 1 }), 10, {
    ...anywhere,
    description:
      'For a page that is previewed, from the first look-up to its last byte; a page that has begun is previewed as far as it came. As long again for its pictures.',
  }),
  federationTimeoutSeconds: option(whole({ min: 1 }), 120, {
    ...anywhere,
    description:
      'For other Matrix servers: how long nothing may come from them. A whole file may take thirty times as long.',
  }),
  clientServerTimeoutSeconds: option(whole({ min: 1 }), 30, { ...anywhere, description: 'For our own homeserver.' }),
})
