import { Data } from "effect"

/** The command can't go on. The message is all that the user sees; `isLogged`: the log has it already. */
export class CommandFailure extends Data.TaggedError("CommandFailure")<{
  readonly message: string
  readonly isLogged?: boolean
}> {}

export const EXIT_FAILURE = 1
export const EXIT_USAGE = 2
