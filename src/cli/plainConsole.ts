import { Console, Effect } from "effect"

// oxlint-disable-next-line no-control-regex -- an escape sequence begins with a control character
const escapeSequence = /\u001b\[[0-9;]*m/g

/** Paragraphs of the generated help that say nothing. */
const noise = /\n\n +(A user-defined piece of text\.|A true or false value\.|This setting is optional\.)(?=\n)/g

const write = (stream: NodeJS.WriteStream, parts: ReadonlyArray<unknown>, without: RegExp | "" = ""): void => {
  const said = parts.map((part) => typeof part === "string" ? part : Bun.inspect(part)).join(" ")
  const text = said.replace(noise, "").replace(without, "")
  const coloured = stream.isTTY && process.env["NO_COLOR"] === undefined
  stream.write(`${coloured ? text : text.replace(escapeSequence, "")}\n`)
}

/** Prints without colours where nobody sees them: into pipes and files, and under NO_COLOR. */
export const withPlainConsole = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Console.consoleWith((console) =>
    Effect.withConsole(effect, {
      ...console,
      log: (...parts) => Effect.sync(() => write(process.stdout, parts)),
      // A paragraph of the generated help has an empty line behind it.
      error: (...parts) => Effect.sync(() => write(process.stderr, parts, /\n+$/))
    })
  )
