import { anywhere, flag, option, section, whole } from '../option.ts'

export const archiving = section('Export and import of all media of a user or a server.', {
  enabled: option(flag(), true, { ...anywhere, description: 'Offer export and import.' }),
  selfService: option(flag(), false, {
    ...anywhere,
    description: 'Let users export their own media, and administrators of a homeserver those of their server.',
  }),
  targetBytesPerPart: option(whole({ min: 1 }), 209_715_200, {
    ...anywhere,
    description: 'Size of the parts of an archive in bytes, before compression.',
  }),
  keepDays: option(whole({ min: 0, max: 36_500 }), 14, {
    ...anywhere,
    description:
      'For so many days an export can be downloaded; then it is deleted, and its links lead nowhere. 0 = for ever.',
  }),
})
