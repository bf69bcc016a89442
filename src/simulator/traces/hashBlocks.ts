import type { Segment } from "../promptChain.ts"
import type { Workload, WorkloadOptions } from "../Workload.ts"
import { jsonLines } from "./jsonLine.ts"
import { openLoop, type RecordedRequest } from "./openLoop.ts"

/** How a trace of one JSON object a request writes its prompts and times. */
export interface HashBlockFormat {
  readonly name: string
  /** Tokens that one of `hash_ids` stands for; the last one may be cut short. */
  readonly blockTokens: number
  /** Seconds in one unit of `timestamp`. */
  readonly timestampS: number
}

/** Mooncake's traces. Source: github.com/kvcache-ai/Mooncake, FAST25-release. */
export const mooncake: HashBlockFormat = { name: "mooncake", blockTokens: 512, timestampS: 0.001 }

/** Alibaba's Bailian traces. Source: github.com/alibaba-edu/qwen-bailian-usagetraces-anon. */
export const bailian: HashBlockFormat = { name: "bailian", blockTokens: 16, timestampS: 1 }

/**
 * `{"timestamp", "input_length", "output_length", "hash_ids"}` a line; other fields are passed over. Equal ids at the
 * beginning of two prompts are equal tokens. Throws TraceError.
 */
export const readHashBlocks = (
  format: HashBlockFormat,
  text: string
): (options: WorkloadOptions) => Workload => {
  const requests: Array<RecordedRequest> = []
  for (const line of jsonLines(text)) {
    const ids = line.ids("hash_ids")
    const promptTokens = line.number("input_length", 1)
    requests.push({
      atS: line.number("timestamp", 0) * format.timestampS,
      prompt: () => blocksOf(ids, promptTokens, format.blockTokens, 0),
      outputTokens: Math.max(1, line.number("output_length", 0))
    })
  }
  requests.sort((one, other) => one.atS - other.atS)
  return (options) => openLoop(format.name, requests, options)
}

/**
 * The ids as segments of `blockTokens`, `promptTokens` in all: the last one is cut short, or stretched when there
 * are fewer ids than the length asks for. Ids are moved up by `idBase`.
 */
export const blocksOf = (
  ids: Uint32Array,
  promptTokens: number,
  blockTokens: number,
  idBase: number
): ReadonlyArray<Segment> => {
  const segments: Array<Segment> = []
  let left = promptTokens
  for (let i = 0; i < ids.length && left > 0; i++) {
    const tokens = i === ids.length - 1 ? left : Math.min(left, blockTokens)
    segments.push({ id: idBase + ids[i]!, tokens })
    left -= tokens
  }
  return left > 0 ? [...segments, { id: idBase, tokens: left }] : segments
}
