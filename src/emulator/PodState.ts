import type { EngineDriver } from "./EngineDriver.ts"
import { tokenCountBounds } from "./engine/EngineCounters.ts"
import { Histogram } from "./engine/Histogram.ts"
import type { LoremText } from "./LoremText.ts"
import type { Tokenizer } from "./Tokenizer.ts"
import { modelNotFound } from "./VllmError.ts"

/** What one pod serves, fixed at its start. */
export interface PodModel {
  readonly model: string
  readonly loraAdapters: ReadonlyArray<string>
  readonly maxModelLen: number
  readonly blockSizeTokens: number
  /** Mean length of an answer whose client sets no limit. */
  readonly outputTokensMean: number
  /** As with `--enable-auto-tool-choice` and a parser; without it `tool_choice: auto` is refused. */
  readonly toolCallParser: boolean
  /** Serve embeddings, rerank, score, classify, pooling and audio as well, which one real pod never does. */
  readonly poolingAndAudio: boolean
}

/** Everything the routes of one pod share. */
export class PodState {
  readonly served: PodModel
  readonly driver: EngineDriver
  readonly tokenizer: Tokenizer
  readonly lorem: LoremText
  readonly startedAtS = Date.now() / 1000
  /** Choices asked for, and `max_tokens`, a request. */
  readonly choicesAsked = new Histogram([1, 2, 5, 10, 20])
  readonly outputTokensAsked: Histogram
  private readonly modelNames: ReadonlySet<string>

  constructor(served: PodModel, driver: EngineDriver, tokenizer: Tokenizer, lorem: LoremText) {
    this.served = served
    this.driver = driver
    this.tokenizer = tokenizer
    this.lorem = lorem
    this.outputTokensAsked = new Histogram(tokenCountBounds(served.maxModelLen))
    this.modelNames = new Set([served.model, ...served.loraAdapters])
  }

  /** The model that a request runs on: the one it names, or the base model. Throws VllmError for an unknown name. */
  modelOf(name: string | undefined): string {
    if (name === undefined || name === "") return this.served.model
    if (!this.modelNames.has(name)) throw modelNotFound(name, this.served.model)
    return name
  }
}

/** 16 random hex digits, as vLLM ends its ids. */
export const randomId = (): string => crypto.randomUUID().replaceAll("-", "").slice(0, 16)
