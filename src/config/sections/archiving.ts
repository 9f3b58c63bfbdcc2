import { anywhere, flag, option, section, whole } from '../option.ts'

export const archiving = section('Export and import of all media of a user or a server.', {
  enabled: option(flag(), true, { ...anywhere, planned: true, description: 'Offer export and import.' }),
  selfService: option(flag(), false, {
    ...anywhere,
    planned: true,
    description: 'Let users export their own media, and administrators of a homeserver those of their server.',
  }),
  targetBytesPerPart: option(whole({ min: 1 }), 209_715_200, {
    ...anywhere,
    planned: true,
    description: 'Size of the parts of an archive in bytes, before compression.',
  }),
})
