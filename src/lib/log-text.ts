/**
 * Log lines for people: what pino writes as JSON, as `key=value` on one line, in the layout MMR's users and their log
 * parsers know (`time="2006-01-02 15:04:05.000 Z" level=info msg="…" key=value`).
 *
 * The JSON is walked once without building objects: strings keep their JSON escapes, so a newline or a terminal code in a
 * file name stays `\n` or `\u001b` and cannot start a line of its own.
 */

interface Parts {
  time: string
  level: string
  message: string
  fields: string
  /** What stands before and after a field's name: a space and `=`, with colours around the name or without. */
  readonly before: string
  readonly after: string
}

const COLOURS: Readonly<Record<string, string>> = {
  trace: '\u001b[37m',
  debug: '\u001b[37m',
  info: '\u001b[36m',
  warning: '\u001b[33m',
  error: '\u001b[31m',
  fatal: '\u001b[31m',
}
const NO_COLOUR = '\u001b[0m'
const LINE_START = '{"level":"'
const MESSAGE_WIDTH = 44

/** What needs no quotes, by logrus's rule. */
const PLAIN = /^[\w.\-/@^+]+$/

/** One line of JSON (with or without its newline) as `time=… level=… msg=… key=value`, newline included. */
export function toText(line: string): string {
  const parts: Parts = { time: '', level: '', message: '', fields: '', before: ' ', after: '=' }
  walkObject(line, 0, '', parts)
  return `time="${readableTime(parts.time)}" level=${parts.level} msg=${quoted(parts.message)}${parts.fields}\n`
}

/** The same line of fields that are no objects, without the way through JSON; `time` in ISO form. */
export function fieldsToText(time: string, level: string, fields: LineFields, message: string): string {
  let text = `time="${readableTime(time)}" level=${level} msg=${asText(message)}`
  for (const name in fields) {
    const value = fields[name]
    if (value !== undefined) text += ` ${name}=${typeof value === 'string' ? asText(value) : value}`
  }
  return `${text}\n`
}

/** Names that need no quotes, and their values. */
export type LineFields = Readonly<Record<string, string | number | undefined>>

function asText(text: string): string {
  return PLAIN.test(text) ? text : JSON.stringify(text)
}

/** The same for a terminal: `INFO[2006-01-02 15:04:05.000 Z] message   key=value`, level and names in the level's colour. */
export function toColouredText(line: string): string {
  const level = line.slice(LINE_START.length, line.indexOf('"', LINE_START.length))
  const colour = COLOURS[level] ?? NO_COLOUR
  const parts: Parts = { time: '', level, message: '', fields: '', before: ` ${colour}`, after: `${NO_COLOUR}=` }
  walkObject(line, 0, '', parts)
  const word = `${colour}${level.slice(0, 4).toUpperCase()}${NO_COLOUR}`
  return `${word}[${readableTime(parts.time)}] ${parts.message.padEnd(MESSAGE_WIDTH)}${parts.fields}\n`
}

/** Reads the object that starts at `start` into `parts`, members of inner objects as `outer.inner`; gives the index after it. */
function walkObject(line: string, start: number, prefix: string, parts: Parts): number {
  let at = start + 1
  while (at < line.length && line[at] !== '}') {
    if (line[at] === ',') at += 1
    const nameEnd = closingQuote(line, at + 1)
    const name = prefix + line.slice(at + 1, nameEnd)
    at = walkValue(line, nameEnd + 2, name, parts)
  }
  return at + 1
}

function walkValue(line: string, start: number, name: string, parts: Parts): number {
  const first = line[start]
  if (first === '{') return walkObject(line, start, `${name}.`, parts)
  if (first === '"') {
    const end = closingQuote(line, start + 1)
    addString(name, line.slice(start + 1, end), parts)
    return end + 1
  }
  const end = first === '[' ? closingBracket(line, start) : endOfWord(line, start)
  addField(name, line.slice(start, end), parts)
  return end
}

function addString(name: string, text: string, parts: Parts): void {
  if (name === 'msg') parts.message = text
  else if (name === 'time' && parts.time === '') parts.time = text
  else if (name === 'level' && parts.message === '' && parts.time === '') parts.level = text
  else addField(name, PLAIN.test(text) ? text : `"${text}"`, parts)
}

function addField(name: string, written: string, parts: Parts): void {
  const safeName = PLAIN.test(name) ? name : `"${name}"`
  parts.fields += parts.before + safeName + parts.after + written
}

function quoted(text: string): string {
  return PLAIN.test(text) ? text : `"${text}"`
}

/** `2006-01-02T15:04:05.000Z` as MMR writes it. */
function readableTime(iso: string): string {
  return `${iso.slice(0, 10)} ${iso.slice(11, 23)} Z`
}

function closingQuote(line: string, from: number): number {
  let at = line.indexOf('"', from)
  while (at > 0 && isEscaped(line, at)) at = line.indexOf('"', at + 1)
  return at === -1 ? line.length : at
}

function isEscaped(line: string, quote: number): boolean {
  let backslashes = 0
  while (line[quote - 1 - backslashes] === '\\') backslashes += 1
  return backslashes % 2 === 1
}

function closingBracket(line: string, start: number): number {
  let depth = 0
  let at = start
  for (; at < line.length; at += 1) {
    if (line[at] === '"') at = closingQuote(line, at + 1)
    else if (line[at] === '[' || line[at] === '{') depth += 1
    else if (line[at] === ']' || line[at] === '}') depth -= 1
    if (depth === 0) return at + 1
  }
  return at
}

function endOfWord(line: string, start: number): number {
  let at = start
  while (at < line.length && line[at] !== ',' && line[at] !== '}') at += 1
  return at
}
