import { pictures } from '../picture.ts'

/** The first page. TIFF is what scanners write, hence JPEG. */
export const tiff = pictures({ 'image/tiff': ['image/tiff'] }, { loader: 'VipsForeignLoadTiffFile', opaque: 'jpeg' })
