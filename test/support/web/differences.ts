const UNFOUND_PICTURE = {
  'og:image': 'Synapse finds no picture where the page has one for everybody who looks at it',
  'og:image:type': 'of that picture',
  'og:image:width': 'of that picture',
  'og:image:height': 'of that picture',
}
const JSON_LD = 'the page says it in JSON-LD, which Synapse does not read'
const ALT = { 'og:image:alt': 'what is to be seen stands at the picture: for those who do not see it' }
const NO_WORDS = 'what is empty is left out; Synapse sends null'
const NAVIGATION = 'navigation, headings and labels are no description of a page; a space stands where its text goes on'
const CANONICAL = 'the page names its own address'
const FILE = { status: 'filePreviewTypes lists it here; Synapse previews pages and images only' }
const WALL = { status: 'sites answer so who has not logged in, and tell previews what is behind it; Synapse gives up' }

/**
 * Where our previews of the local web differ from Synapse's, by page and key, and why ours are right. A difference that is not
 * listed fails the comparison, and so does one that is listed and no longer there. `status`: only one of the two has a preview.
 */
export const DIFFERENCES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'news.test/amp/city/bridge': { ...UNFOUND_PICTURE, ...ALT, 'og:url': CANONICAL },
  'news.test/plus/investigation': WALL,
  'wall.test/p/abc': WALL,
  'magazine.test/2026/tides': {
    'og:site_name': 'twitter:site is an account; @magazine is not what the site is called',
  },
  'gazette.test/live/storm': {
    ...UNFOUND_PICTURE,
    'og:title': `${JSON_LD}; the title element has the name of the paper only`,
    'og:description': `${JSON_LD}; its first text asks for JavaScript`,
    'og:site_name': JSON_LD,
    'og:type': JSON_LD,
  },
  'shop.test/product/rubber-boots': {
    ...UNFOUND_PICTURE,
    'og:title': `${JSON_LD}; the title element advertises`,
    'og:description': `${JSON_LD}; its first text is the cart`,
    'og:type': JSON_LD,
  },
  'kitchen.test/fish-soup': {
    ...UNFOUND_PICTURE,
    'og:title': `${JSON_LD}; the title element has the name of the site, too`,
    'og:description': `${JSON_LD}; its first text is the title again`,
  },
  'blog.test/why-i-walk': { 'og:description': 'spaces and line breaks of the markup are no part of a text', ...ALT },
  'forum.test/viewtopic.php?f=2&t=99': {
    'og:description': NAVIGATION,
    'og:image': 'a badge of 15 × 15 pixels is no picture of a thread',
    'og:image:type': 'of that badge',
    'og:image:width': 'of that badge',
    'og:image:height': 'of that badge',
  },
  'app.test/': { 'og:description': NO_WORDS },
  'forge.test/otter/raft/commit/0a1b2c3': { 'og:description': NAVIGATION },
  'docs.test/raft/stable/install.html': { 'og:description': NAVIGATION },
  'weather.test/hamburg': { 'og:description': NAVIGATION },
  'council.test/notices/2026-17.htm': { 'og:description': NAVIGATION },
  'wiki.test/wiki/Otter': { 'og:description': NAVIGATION, 'og:url': CANONICAL },
  'noise.test/comments': { 'og:description': 'what stands in buttons and in fields to type in is no text of the page' },
  'answers.test/questions/42/how-do-otters-sleep': {
    'og:domain': 'twitter:domain is no property of Open Graph, and says what the address says',
  },
  'events.test/e/regatta': {
    ...UNFOUND_PICTURE,
    'og:image:secure_url': 'is the picture: where it is here, og:image says',
    'og:image:url': 'is the picture: where it is here, og:image says',
  },
  'gallery.test/lazy': {
    ...ALT,
    'og:image': 'the picture that is seen, not the single dot that stands there until it comes',
    'og:image:type': 'of that picture',
    'og:image:width': 'of that picture',
    'og:image:height': 'of that picture',
  },
  'gallery.test/responsive': { ...UNFOUND_PICTURE, ...ALT },
  'sections.test/': {
    'og:title': 'an empty title element is none: the first heading with words is',
    'og:description': 'the text of the page, where its tags for it are empty',
  },
  'inline.test/picture': ALT,
  'based.test/deep/below/page': { 'og:image': 'addresses of a page with <base> are relative to that' },
  'zeitung.test/preise': {
    'og:title': 'the header says ISO-8859-15, which has the sign of the euro; Synapse does not look',
  },
  'entities.test/': { 'og:title': '&notit; begins with &not, which needs no semicolon (HTML, section 13.2.5.73)' },
  'xn--bcher-kva.test/%C3%BCber-uns?q=%E6%A9%8B': {
    status: 'addresses may be asked for as people write them, as in browsers',
  },
  'video.test/watch?v=dQw4': {
    'og:video': 'where the video is, by whichever of its three names the page calls it',
    'og:video:url': 'is in og:video',
    'og:video:width': 'sizes are numbers',
    'og:video:height': 'sizes are numbers',
  },
  'clips.test/v/9': {
    'og:url': 'Synapse repeats the address that was asked for',
    'og:description': NO_WORDS,
    'og:video': 'where the video can be seen: the page that the answer would embed',
    'og:video:type': 'of that page',
  },
  'files.test/holiday/beach-photo': {
    'og:title': 'the name of a file is its title',
    'og:description': 'the name of a file is its title',
    'og:type': 'says that it is a picture by itself',
  },
  'files.test/drawn.svg': {
    'og:title': 'the name of a file is its title',
    'og:type': 'says that it is a picture by itself',
    'og:description': NO_WORDS,
    'og:image':
      'drawings are decoded only if thumbnails.types lists them; Synapse hands out one that it has no thumbnail of',
    'og:image:type': 'of that drawing',
  },
  'files.test/huge.png': { status: 'the name of a file is told although its picture is too large; Synapse gives up' },
  'files.test/playlist.mp4': FILE,
  'files.test/film.mp4': FILE,
  'files.test/recording.mp3': FILE,
  'files.test/papers/report.pdf': FILE,
  'paste.test/raw/x7': FILE,
  'blog.test/feed.atom': FILE,
  'podcast.test/rss': FILE,
  'files.test/archive.zip': { status: 'nothing to show of a file is an empty preview, not an error of the site' },
  'nothing.test/': { status: 'no content is no page; Synapse gives an empty preview' },
}
