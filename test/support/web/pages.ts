import { code } from './code.ts'
import { files } from './files.ts'
import { languages } from './languages.ts'
import { moved } from './moved.ts'
import { news } from './news.ts'
import type { Page } from './page.ts'
import { people } from './people.ts'
import { places } from './places.ts'
import { reading } from './reading.ts'

/** All of the local web. */
export const pages: readonly Page[] = [
  ...news,
  ...people,
  ...code,
  ...places,
  ...reading,
  ...languages,
  ...files,
  ...moved,
]
