/** What every bench gets from the command line. */
export interface BenchOptions {
  /** Fewer rounds and shorter windows: to see that it works, not to quote. */
  readonly quick: boolean
  /** One line on stderr; stdout is kept for the result. */
  readonly progress: (line: string) => void
  /** Arguments of the bench itself, after its name. */
  readonly args: ReadonlyArray<string>
}

/** One question with a number. */
export interface Bench {
  readonly name: string
  /** What should be true, in one sentence with its bound. */
  readonly claim: string
  /** The answer, as a JSON object. */
  readonly run: (options: BenchOptions) => Promise<object>
}
