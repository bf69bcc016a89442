import { trailBlocks, trailHashesMax } from "../../core/promptTrail.ts"
import type { Segment } from "../promptChain.ts"
import type { Workload, WorkloadOptions } from "../Workload.ts"
import { type JsonLine, jsonLines, TraceError } from "./jsonLine.ts"
import { openLoop } from "./openLoop.ts"

/** A logged decision and how it turned out, as far as a replay can use it. */
export interface RecordedDecision {
  readonly arrivedS: number
  readonly ttftS: number | undefined
  readonly totalS: number
  readonly policy: string
  readonly pod: string
  readonly model: string
  readonly promptTokens: number
  readonly hitTokens: number
  readonly outputTokens: number
  readonly outputTokensMax: number | undefined
  readonly sessionHash: number
  /** The prefix that the prompt's hashes name, by the ids of its segments. */
  readonly segments: Uint32Array
}

export interface DecisionTrace {
  /** In order of arrival. */
  readonly decisions: ReadonlyArray<RecordedDecision>
  /** Tokens of each segment. */
  readonly segmentTokens: ReadonlyArray<number>
  /** Share of all decisions that the log has. */
  readonly sampleRate: number
  /** Requests that no pod served; they load nothing in a replay. */
  readonly failed: number
  readonly hasHashes: boolean
}

/** Ends of prompts that have no hash of their own are never found again; ids above all segments'. */
const REST_IDS = 2 ** 40
/** Share of the recorded time in which the simulated caches, which begin empty, only fill. */
const WARM_UP_SHARE = 0.2

/** Reads a decision log; a first or last line that a rotation cut off is passed over. Throws TraceError. */
export const parseDecisions = (text: string): DecisionTrace => {
  const segments = new SegmentIds()
  // Each try of a request has a line, and the last one says what became of it.
  const byRequest = new Map<string, RecordedDecision | undefined>()
  let sampleRate = 1
  for (const line of jsonLines(wholeLines(text))) {
    sampleRate = Math.min(sampleRate, line.number("sampleRate", 0))
    const key = `${line.number("arrivedMs", 0)} ${line.text("requestId")}`
    const outcome = line.text("outcome")
    if (outcome !== "failed") byRequest.set(key, decisionOf(line, segments))
    else if (!byRequest.has(key)) byRequest.set(key, undefined)
  }
  const decisions = [...byRequest.values()].filter((decision) => decision !== undefined)
  if (decisions.length === 0) throw new TraceError(1, "there is no served request in the log")
  return {
    decisions: decisions.sort((one, other) => one.arrivedS - other.arrivedS),
    segmentTokens: segments.tokens,
    sampleRate,
    failed: byRequest.size - decisions.length,
    hasHashes: segments.tokens.length > 0
  }
}

/** The log as a workload that sends each request when it came, `load` times as fast. */
export const decisionWorkload = (trace: DecisionTrace, options: WorkloadOptions): Workload => {
  const { decisions, segmentTokens } = trace
  const requests = decisions.map((decision, index) => ({
    atS: decision.arrivedS,
    outputTokens: decision.outputTokens,
    outputTokensMax: decision.outputTokensMax,
    sessionHash: decision.sessionHash,
    prompt: () => promptOf(decision, segmentTokens, REST_IDS + index)
  }))
  return openLoop("decisions", requests, options, WARM_UP_SHARE)
}

/** As one of the formats of `--trace`. */
export const readDecisions = (text: string): (options: WorkloadOptions) => Workload => {
  const trace = parseDecisions(text)
  return (options) => decisionWorkload(trace, options)
}

/** Those that a replay with the same options measures. */
export const measuredDecisions = (
  { decisions }: DecisionTrace,
  { durationS = Number.POSITIVE_INFINITY, load }: WorkloadOptions
): ReadonlyArray<RecordedDecision> => {
  const firstS = decisions[0]?.arrivedS ?? 0
  const lengthS = Math.min((decisions.at(-1)?.arrivedS ?? 0) - firstS, durationS * load)
  return decisions.filter(({ arrivedS }) => {
    const atS = arrivedS - firstS
    return atS >= WARM_UP_SHARE * lengthS && atS < durationS * load
  })
}

const decisionOf = (line: JsonLine, segments: SegmentIds): RecordedDecision => {
  const waitMs = line.number("waitMs", 0)
  const estimatedTokens = line.number("promptTokens", 0)
  const promptTokens = Math.max(1, line.optional("podPromptTokens", 1) ?? estimatedTokens)
  const ttftMs = line.text("outcome") === "finished" ? line.optional("observedTtftMs", 0) : undefined
  const scale = estimatedTokens === 0 ? 1 : promptTokens / estimatedTokens
  return {
    arrivedS: line.number("arrivedMs", 0) / 1000,
    ttftS: ttftMs === undefined ? undefined : (waitMs + ttftMs) / 1000,
    totalS: line.number("totalMs", 0) / 1000,
    policy: line.text("policy"),
    pod: line.text("pod"),
    model: line.text("model"),
    promptTokens,
    hitTokens: line.optional("podHitTokens", 0) ?? line.number("hitTokens", 0),
    outputTokens: Math.max(1, line.optional("outputTokens", 0) ?? 1),
    outputTokensMax: line.optional("maxTokens", 0),
    sessionHash: line.numberOr("session", 0, 0),
    segments: line.has("blocks") ? segments.of(hashesOf(line), line.number("blockTokens", 0) * scale) : noSegments
  }
}

const noSegments = new Uint32Array(0)

const hashesOf = (line: JsonLine): Uint32Array => {
  const bytes = Uint8Array.from(Buffer.from(line.text("blocks"), "base64"))
  if (bytes.length % 4 !== 0 || bytes.length > 4 * trailHashesMax) {
    throw new TraceError(line.line, `"blocks" has ${bytes.length} bytes but must be at most 2048 hashes of 4`)
  }
  return new Uint32Array(bytes.buffer)
}

/** Gives each prefix that a hash names an id. */
class SegmentIds {
  readonly tokens: Array<number> = []
  private readonly ids = new Map<number, number>()

  /** `blockTokens` counts only for hashes not seen before, since a segment is as long in all prompts. */
  of(hashes: Uint32Array, blockTokens: number): Uint32Array {
    const found = new Uint32Array(hashes.length)
    let before = 0
    let beforeBlocks = 0
    for (const [index, hash] of hashes.entries()) {
      // With the prefix before it the 32 bits can't be mistaken for those of another prompt.
      const key = before * 2 ** 32 + hash
      let id = this.ids.get(key)
      const blocks = trailBlocks(index)
      if (id === undefined) {
        id = this.tokens.length
        this.ids.set(key, id)
        this.tokens.push(Math.round(blocks * blockTokens) - Math.round(beforeBlocks * blockTokens))
      }
      found[index] = id
      before = id + 1
      beforeBlocks = blocks
    }
    return found
  }
}

const promptOf = (
  { promptTokens, segments }: RecordedDecision,
  segmentTokens: ReadonlyArray<number>,
  restId: number
): ReadonlyArray<Segment> => {
  const prompt: Array<Segment> = []
  let left = promptTokens
  for (const id of segments) {
    const tokens = Math.min(left, segmentTokens[id]!)
    if (tokens > 0) prompt.push({ id, tokens })
    left -= tokens
  }
  return left > 0 ? [...prompt, { id: restId, tokens: left }] : prompt
}

/** The text with a cut first line emptied, so that lines keep their numbers, and a cut last line removed. */
const wholeLines = (text: string): string => {
  const whole = text.endsWith("\n") || isJson(text.slice(text.lastIndexOf("\n") + 1))
    ? text
    : text.slice(0, text.lastIndexOf("\n") + 1)
  const first = whole.indexOf("\n")
  return first < 0 || isJson(whole.slice(0, first)) ? whole : whole.slice(first)
}

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return text.trim() === ""
  }
}
