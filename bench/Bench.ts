/** What every bench gets from the command line. */
export interface BenchOptions {
  /** Fewer rounds and shorter windows: to see that it works, not to quote. */
  readonly quick: boolean
  /** One line on stderr; stdout is kept for the result. */
  readonly progress: (line: string) => void
  /** Arguments of the bench itself, after its name. */
  readonly args: ReadonlyArray<string>
}

/** An option that a bench can't take; its message says what there is instead. */
export class WrongOption extends Error {}

/** One question with a number. */
export interface Bench {
  readonly name: string
  /** What should be true, in one sentence with its bound. */
  readonly claim: string
  /** The answer, as a JSON object. */
  readonly run: (options: BenchOptions) => Promise<object>
  /** The answer for people, when it is too long to read as JSON. */
  readonly show?: (result: never) => string
}
