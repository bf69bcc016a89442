#!/usr/bin/env bun
import { CliConfig, Command, ValidationError } from "@effect/cli"
import * as BunContext from "@effect/platform-bun/BunContext"
import { Cause, Console, Effect, Exit, Layer } from "effect"
import packageJson from "../../package.json" with { type: "json" }
import { argumentFault } from "./argumentFault.ts"
import { warmroute } from "./commands.ts"
import { CommandFailure, EXIT_FAILURE, EXIT_USAGE } from "./failure.ts"
import { withPlainConsole } from "./plainConsole.ts"

const args = process.argv.slice(2)

const program = Effect.gen(function*() {
  const fault = argumentFault(args)
  if (fault !== undefined) {
    yield* Console.error(`warmroute: ${fault}`)
    return EXIT_USAGE
  }
  const run = Command.run(warmroute, { name: "warmroute", version: packageJson.version })
  yield* run([...process.argv.slice(0, 2), ...(args.length === 0 ? ["--help"] : args)])
  return 0
}).pipe(
  Effect.catchIf(ValidationError.isValidationError, () => Effect.succeed(EXIT_USAGE)),
  Effect.catchAll((failure) => Effect.as(told(failure), EXIT_FAILURE)),
  withPlainConsole,
  Effect.provide(Layer.merge(BunContext.layer, CliConfig.layer({ showBuiltIns: false })))
)

const told = ({ isLogged, message }: CommandFailure): Effect.Effect<void> =>
  isLogged === true ? Effect.void : Console.error(message)

const exit = await Effect.runPromiseExit(program)
if (Exit.isFailure(exit)) process.stderr.write(`${Cause.pretty(exit.cause, { renderErrorCause: true })}\n`)
process.exit(Exit.getOrElse(exit, () => EXIT_FAILURE))
