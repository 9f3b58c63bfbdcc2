import { anywhere, flag, option, section, text } from '../option.ts'

const planned = { ...anywhere, planned: true } as const

export const quarantine = section('What is sent in place of quarantined media.', {
  replaceThumbnails: option(flag(), true, { ...planned, description: 'Answer thumbnails with a placeholder picture.' }),
  replaceDownloads: option(flag(), false, { ...planned, description: 'Answer downloads with a placeholder picture.' }),
  thumbnailPath: option(text(), '', {
    ...planned,
    example: '/data/quarantined.png',
    description: 'Picture of your own to use as the placeholder.',
  }),
  allowLocalAdmins: option(flag(), true, {
    ...anywhere,
    description: 'Let administrators of a homeserver quarantine media of their own server.',
  }),
})
