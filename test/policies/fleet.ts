import { Either } from "effect"
import { emptyChain } from "../../src/core/BlockChain.ts"
import type { EngineConstants } from "../../src/core/EngineConstants.ts"
import { type PodAddress, podAddress } from "../../src/core/Pod.ts"
import { PodTable } from "../../src/core/PodTable.ts"
import type { PickContext, Policy } from "../../src/core/Policy.ts"
import type { RequestFeatures } from "../../src/core/RequestFeatures.ts"
import { Scheduler, type SchedulerOptions } from "../../src/core/Scheduler.ts"
import { mix32 } from "../../src/policies/hashKeys.ts"
import { makePolicy, type PolicyDescription } from "../../src/policies/registry.ts"

export const policyOf = (description: PolicyDescription): Policy =>
  Either.getOrThrowWith(makePolicy(description, 64), (why) => new Error(why))

/** Round numbers, so that expected costs can be worked out by hand. */
export const roundConstants: EngineConstants = {
  prefillTokenS: 0.0001,
  attentionPairS: 0,
  weightReadS: 0.01,
  stepFixedS: 0,
  decodeRequestS: 0.001,
  contextTokenS: 0,
  batchedTokensMax: 1000,
  kvCapacityTokens: 100_000
}

/** A pod by a number of its own. */
export const pod = (index: number): PodAddress => podAddress("10.0.0.1", 8000 + index, false)

/** Takes the first candidate, so that a test says where a request goes by what it offers. */
export const firstCandidate: Policy = { type: "first", pick: ({ candidates }) => candidates[0] ?? -1 }

/** A scheduler whose pods have joined, serve the model `m` in blocks of 16 tokens, and accept since the time 0. */
export const schedulerOf = (
  pods: ReadonlyArray<PodAddress>,
  options: Partial<SchedulerOptions> = {},
  constants: EngineConstants = roundConstants
): Scheduler => {
  const scheduler = new Scheduler({
    policy: firstCandidate,
    podsMax: 8,
    openRequestsMax: 64,
    modelsMax: 8,
    prefixEntriesMax: 100_000,
    initialOutputTokens: 100,
    random: () => 0.5,
    ...options
  })
  for (const pod of pods) {
    scheduler.join(pod, constants)
    scheduler.describe(pod.id, 16, constants.kvCapacityTokens, ["m"])
    scheduler.observe(pod.id, true, 0, 0, 0, 0)
  }
  return scheduler
}

/** What a test says of a pod; anything else is zero. */
export interface PodFacts {
  readonly hitTokens?: number
  readonly decoding?: number
  readonly decodingTokens?: number
  readonly prefilling?: number
  readonly prefillAheadS?: number
  readonly prefillAheadTokens?: number
  readonly waiting?: number
  readonly running?: number
  readonly kvUsage?: number
  readonly foreignRunning?: number
}

/** A request that only has a length. */
export const requestOf = (promptTokens: number): RequestFeatures => ({
  model: "m",
  promptTokens,
  outputTokensMax: undefined,
  generates: true,
  streams: true,
  chain: () => emptyChain,
  tokensPerBlock: (blockSizeTokens) => blockSizeTokens,
  sessionHash: 0
})

/** A request whose prompt has these blocks of 16 tokens; each is named by all before it too. */
export const promptOf = (...blocks: ReadonlyArray<number>): RequestFeatures => {
  let before = 1
  const low = Uint32Array.from(blocks, (block) => before = mix32(before, block))
  const chain = { low, high: new Uint32Array(blocks.length), length: blocks.length }
  return { ...requestOf(blocks.length * 16 + 1), chain: () => chain }
}

/** A small linear congruential generator: the same seed gives the same picks. */
export const seededRandom = (seed: number): () => number => {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 4_294_967_296
  }
}

/** A pick over pods 0..n-1, all of them candidates. */
export const contextOf = (
  pods: ReadonlyArray<PodFacts>,
  promptTokens: number,
  options: { readonly seed?: number; readonly outputTokens?: number; readonly constants?: EngineConstants } = {}
): PickContext => {
  const table = new PodTable(Math.max(1, pods.length))
  const hitTokens = new Float64Array(pods.length)
  const candidates = new Uint32Array(pods.length)
  pods.forEach((facts, index) => {
    const row = table.add(pod(index))
    table.setConstants(row, options.constants ?? roundConstants)
    table.accepting[row] = 1
    table.decoding[row] = facts.decoding ?? 0
    table.decodingTokens[row] = facts.decodingTokens ?? 0
    table.prefilling[row] = facts.prefilling ?? 0
    table.prefillAheadS[row] = facts.prefillAheadS ?? 0
    table.prefillAheadTokens[row] = facts.prefillAheadTokens ?? 0
    table.observedWaiting[row] = facts.waiting ?? 0
    table.observedRunning[row] = facts.running ?? 0
    table.observedKvUsage[row] = facts.kvUsage ?? 0
    table.foreignRunning[row] = facts.foreignRunning ?? 0
    hitTokens[row] = facts.hitTokens ?? 0
    candidates[index] = row
  })
  return {
    table,
    request: requestOf(promptTokens),
    candidates,
    candidateCount: pods.length,
    hitTokens,
    outputTokens: options.outputTokens ?? 100,
    nowS: 0,
    flushTokens: () => 0,
    random: seededRandom(options.seed ?? 1)
  }
}

/** How often each pod is picked over many seeds. */
export const pickCounts = (
  pick: (context: PickContext) => number,
  pods: ReadonlyArray<PodFacts>,
  promptTokens: number,
  picks = 400
): ReadonlyArray<number> => {
  const counts = pods.map(() => 0)
  for (let seed = 0; seed < picks; seed++) {
    const row = pick(contextOf(pods, promptTokens, { seed: Math.imul(seed + 1, 2_654_435_761) }))
    counts[row] = (counts[row] ?? 0) + 1
  }
  return counts
}
