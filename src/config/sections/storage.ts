import { mainOnly, option, section, whole } from '../option.ts'

export const storage = section('Care of what is stored.', {
  scrubBytesPerHour: option(whole({ min: 0 }), 0, {
    ...mainOnly,
    description:
      'How many bytes an hour are read again and compared with their hashes, to find damage; 0 = none. Counted over all instances.',
  }),
})
