import { animations } from '../animation.ts'

export const webp = animations({ 'image/webp': ['image/webp'] }, { loader: 'VipsForeignLoadWebpFile', opaque: 'jpeg' })
