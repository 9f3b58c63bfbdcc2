import { anywhere, flag, option, section, text } from '../option.ts'

export const quarantine = section('What is sent in place of quarantined media.', {
  replaceThumbnails: option(flag(), true, {
    ...anywhere,
    description:
      'Answer requests for thumbnails of quarantined media with a picture that says so, instead of 404. Other homeservers always get 404.',
  }),
  replaceDownloads: option(flag(), false, {
    ...anywhere,
    description: 'Answer downloads of quarantined media with that picture, whatever type they are of.',
  }),
  thumbnailPath: option(text(), '', {
    ...anywhere,
    example: '/data/quarantined.png',
    description:
      'Picture of your own to use for it: PNG, JPEG, GIF or WebP, up to 10 MiB. Without one, a sign for “not allowed” is drawn.',
  }),
  allowLocalAdmins: option(flag(), true, {
    ...anywhere,
    description: 'Let administrators of a homeserver quarantine media of their own server.',
  }),
})
