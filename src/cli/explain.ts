import { Console, Effect } from "effect"
import { networkWords } from "../core/networkWords.ts"
import { type Explained, explanationText, isExplained } from "./explanationText.ts"
import { CommandFailure } from "./failure.ts"
import { readNamed } from "./namedFile.ts"

/** Flags of `warmroute explain`. */
export interface ExplainChoice {
  readonly admin: string
  readonly file: string | undefined
  readonly prompt: string | undefined
  readonly model: string | undefined
  readonly json: boolean
}

const PATIENCE_MS = 10_000

/** Asks a running gateway why and prints its answer as a table, or as it came. */
export const explain = (choice: ExplainChoice): Effect.Effect<void, CommandFailure> =>
  Effect.gen(function*() {
    const body = yield* bodyOf(choice)
    const url = yield* explainUrl(choice.admin)
    const explained = yield* Effect.tryPromise({
      try: () => ask(url, body),
      catch: (cause) => cause instanceof CommandFailure ? cause : unreachable(url, cause)
    })
    yield* Console.log(choice.json ? JSON.stringify(explained) : explanationText(explained))
  })

const fail = (message: string): CommandFailure => new CommandFailure({ message: `warmroute explain: ${message}` })

const bodyOf = ({ file, model, prompt }: ExplainChoice): Effect.Effect<string, CommandFailure> => {
  if ((file === undefined) === (prompt === undefined)) return fail("give one of --file FILE and --prompt TEXT.")
  if (file === undefined) {
    return Effect.succeed(JSON.stringify({ model, messages: [{ role: "user", content: prompt }] }))
  }
  if (model !== undefined) return fail("--model goes with --prompt; a file names its model itself.")
  return Effect.filterOrFail(
    readNamed("explain", file),
    (text) => parsed(text) !== undefined,
    () => fail(`${file} is not JSON; it must hold a request's body, or { "path": …, "body": … }.`)
  )
}

const explainUrl = (admin: string): Effect.Effect<URL, CommandFailure> =>
  URL.canParse(admin) && /^https?:/.test(admin)
    ? Effect.succeed(new URL("/warmroute/explain", admin))
    : fail(`--admin is "${admin}" but must be a URL such as http://127.0.0.1:9091.`)

const ask = async (url: URL, body: string): Promise<Explained> => {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
    signal: AbortSignal.timeout(PATIENCE_MS)
  })
  const text = await response.text()
  const answer = parsed(text)
  if (response.ok && isExplained(answer)) return answer
  const error = (answer as { readonly error?: { readonly message?: unknown; readonly code?: unknown } } | undefined)
    ?.error
  // The clients' port of a gateway knows no such route.
  if (typeof error?.message === "string" && error.code !== "unknown_route") {
    throw fail(`the gateway refuses: ${error.message}`)
  }
  throw fail(`${url.origin} answers ${response.status} and is not the operators' port of a warmroute gateway.`)
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text) ?? undefined
  } catch {
    return undefined
  }
}

const unreachable = (url: URL, cause: unknown): CommandFailure =>
  fail(
    `no gateway answers on ${url.origin}: ${networkWords(cause)}. ` +
      "serve prints where it listens for operators; name that with --admin URL."
  )
