/** How Synapse reads another server's answer to a request for media: its own code, from where it is installed. */
import { Buffer } from 'node:buffer'
import { temporaryFolder } from './folder.ts'
import { runProgram } from './processes.ts'
import { requireService } from './services.ts'

export interface ReadBySynapse {
  readonly json: string
  readonly bytes: number
  readonly contentType: string | null
  readonly disposition: string | null
  /** Where the file is, if not in the answer. */
  readonly url: string | null
  readonly file: Buffer
}

/**
 * Twisted fetches the address, as Synapse has it do, and Synapse's reader gets the answer and the text behind the first
 * `boundary=` of its type.
 */
const PROGRAM = `
import base64, io, json, sys
from twisted.internet import defer, task
from twisted.web.client import Agent
from twisted.web.http_headers import Headers
from synapse.http.client import read_multipart_response
given = json.load(open(sys.argv[1]))

async def main(reactor):
    headers = Headers({name: [value] for name, value in given["headers"].items()})
    response = await Agent(reactor).request(b"GET", given["url"].encode(), headers)
    kind = response.headers.getRawHeaders("content-type")[0]
    file = io.BytesIO()
    read = await read_multipart_response(response, file, kind.split("boundary=")[1], 1 << 30)
    text = lambda value: None if value is None else value.decode()
    print(json.dumps({
        "json": text(read.json), "bytes": read.length, "contentType": text(read.content_type),
        "disposition": text(read.disposition), "url": text(read.url), "file": base64.b64encode(file.getvalue()).decode(),
    }))

task.react(lambda reactor: defer.ensureDeferred(main(reactor)))
`

/** Needs `describeWith('synapse', …)`. */
export async function readBySynapse(url: string, headers: Readonly<Record<string, string>>): Promise<ReadBySynapse> {
  await using folder = await temporaryFolder()
  const given = await folder.write('given.json', JSON.stringify({ url, headers }))
  const printed = await runProgram({ command: [requireService('synapse'), '-c', PROGRAM, given] })
  const read: Omit<ReadBySynapse, 'file'> & { readonly file: string } = JSON.parse(printed)
  return { ...read, file: Buffer.from(read.file, 'base64') }
}
