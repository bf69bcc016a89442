import { Console, Effect, Either, ParseResult, Schema } from "effect"
import { KeyName } from "../../config/doorsSection.ts"
import { keyHash, newKey } from "../http/doors/clientKey.ts"
import { CommandFailure } from "./failure.ts"

/** Flags of `warmroute key`. */
export interface KeyChoice {
  readonly name: string
  readonly stdin: boolean
}

/** A shorter key can be found by trying, and then its plain hash protects nothing. */
const CHARS_LEAST = 20
const BYTES_MAX = 4096

/** Prints a new key, and the lines that let it in; the key is kept nowhere. With `stdin`, only the lines of the key there. */
export const key = ({ name, stdin }: KeyChoice): Effect.Effect<void, CommandFailure> =>
  Effect.gen(function*() {
    const named = Schema.decodeUnknownEither(KeyName)(name)
    if (Either.isLeft(named)) {
      return yield* fail(`--name: ${ParseResult.ArrayFormatter.formatErrorSync(named.left)[0]?.message}`)
    }
    const given = stdin ? yield* readKey : undefined
    const made = given ?? newKey()
    if (given === undefined) {
      yield* Console.error("The key, for the client; it is shown this once and kept nowhere:\n")
      yield* Console.error(`  ${made}\n`)
      yield* Console.error("Its entry for auth.keys, or for the file that auth.keysPath names:\n")
    }
    yield* Console.log(`- name: ${yamlText(name)}\n  hash: ${keyHash(made)}`)
  })

/** Quoted where YAML would read something else than this text. */
const yamlText = (name: string): string =>
  /^[a-z][\w.@-]*$/i.test(name) && Bun.YAML.parse(name) === name ? name : JSON.stringify(name)

const fail = (message: string): CommandFailure => new CommandFailure({ message: `warmroute key: ${message}` })

const readKey: Effect.Effect<string, CommandFailure> = Effect.flatMap(
  Effect.tryPromise({ try: () => Bun.stdin.text(), catch: (cause) => fail(`can't read the key: ${String(cause)}`) }),
  (text) => {
    const key = text.trim()
    if (key.length > BYTES_MAX || !/^[\x21-\x7e]+$/.test(key)) {
      return fail(
        "the standard input holds no key of one word; pipe one in, as in: printf %s KEY | warmroute key --stdin"
      )
    }
    return key.length < CHARS_LEAST
      ? fail(`a key of ${key.length} characters can be guessed; take ${CHARS_LEAST} random ones or more.`)
      : Effect.succeed(key)
  }
)
