/**
 * Keeping secrets out of what is written down. Every log line passes `redact` on its way out, so a secret stays hidden even
 * where somebody logs a whole error, header list or address.
 */

const HIDDEN = '[redacted]'

/** `access_token` however its letters are percent-encoded, once or several times (an address inside an address). */
const QUERY_TOKEN = new RegExp(`(${encodedForms('access_token')}(?:=|%(?:25)*3d))[^&#\\s"\\\\]*`, 'gi')

/**
 * What has to be in a line before the searches below can find anything; nearly all lines end here. Plain words, because each
 * look for one costs a tenth of what one regular expression for all of them does.
 */
const HINTS = ['token', 'bearer', 'basic', 'authoriz', 'secret', 'passw', 'cookie', 'sig=']
const ENCODED_LETTER = /%(?:25)*(?:[46][135bef]|[57][345f])/i
const ADDRESS_WITH_USER = /:\/\/[^/\s"]*@/

const SECRET_KEY = '[\\w-]*(?:authorization|token|secret|secretkey|secretaccesskey|password|cookie)'
const STRING = '"(?:[^"\\\\]|\\\\.)*"'
const MEMBER = new RegExp(`("${SECRET_KEY}":)(?:${STRING}|\\[(?:${STRING},?)*\\])`, 'gi')
const QUOTED_MEMBER = new RegExp(`(\\\\"${SECRET_KEY}\\\\"\\s*:\\s*\\\\")(?:[^"\\\\]|\\\\[^"])*`, 'gi')
const CREDENTIALS = /\b((?:bearer|basic)(?:\s|%20|\+)+)[^\s"',;\\]+/gi
/** X-Matrix signatures, and those of addresses signed for a while. */
const SIGNATURE = /(\bsig=\\*"?)[^"\\,\s&]+/gi
const URL_PASSWORD = /(:\/\/[^/\s:@"]*:)[^/\s@"]+@/g

/**
 * The text (a line of JSON or plain) without access tokens, Authorization headers, cookies, X-Matrix signatures, passwords
 * in addresses, and members whose name ends in token, secret or password; everything else unchanged.
 */
export function redact(text: string): string {
  if (!mayHoldSecret(text)) return text
  return text
    .replace(QUERY_TOKEN, `$1${HIDDEN}`)
    .replace(MEMBER, `$1"${HIDDEN}"`)
    .replace(QUOTED_MEMBER, `$1${HIDDEN}`)
    .replace(CREDENTIALS, `$1${HIDDEN}`)
    .replace(SIGNATURE, `$1${HIDDEN}`)
    .replace(URL_PASSWORD, `$1${HIDDEN}@`)
}

/** A request's path and query as it may be logged: the value of `access_token` replaced, in every spelling of its name. */
export function redactUrl(path: string): string {
  return mayNameToken(path) ? path.replace(QUERY_TOKEN, `$1${HIDDEN}`) : path
}

/** Whether there is a place for a parameter, and maybe its name; of nearly all paths three looks for one character tell. */
function mayNameToken(path: string): boolean {
  if (path.includes('%')) return true
  const value = path.indexOf('=')
  if (value === -1) return false
  const query = path.indexOf('?')
  return query === -1 || value < query || path.includes('_', query)
}

function mayHoldSecret(text: string): boolean {
  const lowerCase = text.toLowerCase()
  if (HINTS.some((hint) => lowerCase.includes(hint))) return true
  if (text.includes('%') && ENCODED_LETTER.test(text)) return true
  return text.includes('@') && ADDRESS_WITH_USER.test(text)
}

function encodedForms(name: string): string {
  return name.split('').map(encodedForm).join('')
}

function encodedForm(letter: string): string {
  const codes = [letter, letter.toUpperCase()].map((form) => form.charCodeAt(0).toString(16))
  return `(?:${letter}|%(?:25)*(?:${codes.join('|')}))`
}
