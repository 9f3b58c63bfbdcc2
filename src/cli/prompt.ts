import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'

/** Asks at the terminal. `hidden`: what is typed is not shown. */
export async function ask(question: string, { hidden = false } = {}): Promise<string> {
  const output = hidden ? mutedAfter(question) : process.stdout
  const asking = createInterface({ input: process.stdin, output, terminal: true })
  try {
    return (await asking.question(question)).trim()
  } finally {
    asking.close()
    if (hidden) process.stdout.write('\n')
  }
}

export const isAtTerminal = () => process.stdin.isTTY

/** Shows the question, and nothing of what the terminal would echo. */
function mutedAfter(question: string): Writable {
  return new Writable({
    write(chunk: Buffer, _, done) {
      if (String(chunk).includes(question)) process.stdout.write(question)
      done()
    },
  })
}
