import type { Flags, FlagValues } from "./flags.ts"

/** What every bench gets from the command line. */
export interface BenchOptions<F extends Flags = Flags> {
  /** Fewer rounds and shorter windows: to see that it works, not to quote. */
  readonly quick: boolean
  /** One line on stderr; stdout is kept for the result. */
  readonly progress: (line: string) => void
  /** The bench's own flags. */
  readonly values: FlagValues<F>
}

/** One question with a number. */
export interface Bench {
  readonly name: string
  /** What should be true, in one sentence with its bound. */
  readonly claim: string
  /** What it takes beside the common flags. */
  readonly flags: Flags
  /** The answer, as a JSON object. */
  readonly run: (options: BenchOptions<never>) => Promise<object>
  /** The answer for people, when it is too long to read as JSON. */
  readonly show?: (result: never) => string
  /** What must hold and does not, a line each; then the bench ends with status 1. */
  readonly broken?: (result: never, options: Pick<BenchOptions, "quick">) => ReadonlyArray<string>
}
