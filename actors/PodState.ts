import type { EngineConstants } from "../src/core/EngineConstants.ts"
import type { PodAddress, PodId } from "../src/core/Pod.ts"
import type { PodMetrics } from "../src/vllm/MetricsText.ts"
import { maxModelLen, type ModelCard, type PodSigns, type PodStatus } from "./PoolView.ts"
import type { PodDescribed } from "./SchedulerMessages.ts"

/** Block size of vLLM's default, for a pod that does not say its own. */
const BLOCK_SIZE_TOKENS = 16

/** What a pod's actor knows of its pod. Replaced at each change, never written to. */
export interface PodState {
  readonly health: "starting" | "healthy" | "unhealthy"
  /** Why it is not healthy. */
  readonly reason: string | undefined
  readonly draining: boolean
  readonly metrics: PodMetrics | undefined
  /** Of the process whose cache the sketch describes; at first the one that the snapshot saw. */
  readonly processStartS: number | undefined
  readonly models: ReadonlyArray<ModelCard> | undefined
  readonly version: string | undefined
  /** In a row. */
  readonly scrapeFailures: number
  readonly dispatchFailures: number
  /** Why the last of them failed. */
  readonly dispatchFailure: string
  readonly idleScrapes: number
  readonly scrapesSinceInspection: number
  readonly inspecting: boolean
  /** A good scrape came while an inspection was under way, which may have begun before the pod was back. */
  readonly inspectAgain: boolean
  /** Why an inspection got no answer; undefined once the pod gave a good one. */
  readonly silence: Silence | undefined
  /** When bytes of an answer to a request came last while the pod was in doubt. */
  readonly answeredAtMs: number
  /** It answers no question, and requests all the same. */
  readonly isStrained: boolean
  /** Looks at the pod that found it well. */
  readonly timesWell: number
  /** What the scheduler was told last. */
  readonly described: PodDescribed | undefined
  readonly accepting: boolean
  readonly toldStrained: boolean
  /** When each kind of warning was logged last. */
  readonly warnedAtMs: ReadonlyMap<string, number>
}

/** A question without an answer. */
interface Silence {
  readonly why: string
  /** Not in time, rather than because nobody listens there or the connection broke. */
  readonly isLate: boolean
}

/** The process behind the pod, as a snapshot keeps it. */
export interface PodProcess {
  /** Of the process that the pod's sketch belongs to; undefined while unknown. */
  readonly processStartS: number | undefined
  /** Prompt and output tokens of its life: it changes when its cache does. undefined when the pod does not say. */
  readonly tokensTotal: number | undefined
}

export const initialPodState = (processStartS: number | undefined): PodState => ({
  health: "starting",
  reason: "it was not asked yet",
  draining: false,
  metrics: undefined,
  processStartS,
  models: undefined,
  version: undefined,
  scrapeFailures: 0,
  dispatchFailures: 0,
  dispatchFailure: "",
  idleScrapes: 0,
  scrapesSinceInspection: 0,
  inspecting: false,
  inspectAgain: false,
  silence: undefined,
  answeredAtMs: -Infinity,
  isStrained: false,
  timesWell: 0,
  described: undefined,
  accepting: false,
  toldStrained: false,
  warnedAtMs: new Map()
})

/**
 * Why the cache that the sketch describes must be gone, or may be for all that is known; or undefined. `isRestored`: the
 * sketch began with a snapshot's.
 */
export const cacheLoss = (state: PodState, metrics: PodMetrics, isRestored: boolean): string | undefined => {
  const { described, metrics: last, processStartS } = state
  // Its metrics could not be read while the sketch was learned, so that may have been about another process.
  if (processStartS === undefined && metrics.processStartS !== undefined && (isRestored || described !== undefined)) {
    return "it had not told before which process it is"
  }
  if (processStartS !== undefined && metrics.processStartS !== undefined && processStartS !== metrics.processStartS) {
    return "its process started anew"
  }
  if (last === undefined) return undefined
  if (wentBack(last.promptTokensTotal, metrics.promptTokensTotal)) return "its prompt token counter went back"
  if (wentBack(last.generationTokensTotal, metrics.generationTokensTotal)) return "its output token counter went back"
  // Every level of vLLM's sleep frees the KV cache.
  return last.awake && !metrics.awake ? "it went to sleep" : undefined
}

const wentBack = (before: number | undefined, now: number | undefined): boolean =>
  before !== undefined && now !== undefined && now < before

/** The pod as the scheduler should see it; undefined while its models are unknown. */
export const describePod = (id: PodId, state: PodState, constants: EngineConstants): PodDescribed | undefined => {
  if (state.models === undefined) return undefined
  const blockSizeTokens = state.metrics?.blockSizeTokens ?? BLOCK_SIZE_TOKENS
  const gpuBlocks = state.metrics?.gpuBlocks
  return {
    _tag: "PodDescribed",
    id,
    blockSizeTokens,
    // vLLM keeps one of its blocks for itself.
    kvCapacityTokens: gpuBlocks === undefined
      ? constants.kvCapacityTokens
      : Math.max(1, gpuBlocks - 1) * blockSizeTokens,
    models: state.models.map((card) => card.id),
    contextTokensMax: contextTokensMax(state.models)
  }
}

/** Of a pod whose cards agree, as those of vLLM do; an adapter's card leaves it to its base model's. */
const contextTokensMax = (models: ReadonlyArray<ModelCard>): number | undefined => {
  const said = new Set(models.map(maxModelLen).filter((tokens) => tokens !== undefined))
  return said.size === 1 ? said.values().next().value : undefined
}

export const sameDescription = (a: PodDescribed, b: PodDescribed | undefined): boolean =>
  b !== undefined && a.blockSizeTokens === b.blockSizeTokens && a.kvCapacityTokens === b.kvCapacityTokens &&
  a.contextTokensMax === b.contextTokensMax &&
  a.models.length === b.models.length && a.models.every((id, index) => id === b.models[index])

const awake = (state: PodState): boolean => state.metrics?.awake ?? true

/** New requests may go there. */
export const mayAccept = (state: PodState): boolean =>
  state.health === "healthy" && !state.draining && awake(state) && state.described !== undefined

export const podStatus = (address: PodAddress, state: PodState): PodStatus => {
  const known = { address, models: state.models ?? [], version: state.version }
  if (state.draining) return { ...known, health: "draining", reason: "it was removed from the pool" }
  if (state.health === "healthy" && !awake(state)) return { ...known, health: "unhealthy", reason: "it sleeps" }
  const isWell = state.health === "healthy" && !state.isStrained
  return { ...known, health: state.health, reason: isWell ? undefined : state.reason }
}

export const podSigns = (state: PodState): PodSigns => ({
  isUnhealthy: state.health === "unhealthy" || (state.health === "healthy" && !awake(state)),
  isInDoubt: state.scrapeFailures > 0,
  timesWell: state.timesWell
})

export const podProcess = ({ metrics, processStartS }: PodState): PodProcess => {
  const { generationTokensTotal, promptTokensTotal } = metrics ?? {}
  const tokensTotal = promptTokensTotal === undefined ? undefined : promptTokensTotal + (generationTokensTotal ?? 0)
  return { processStartS, tokensTotal }
}
