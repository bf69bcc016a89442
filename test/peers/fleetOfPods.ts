import type { EngineConstants } from "../../src/core/EngineConstants.ts"
import { hardwarePresets } from "../../src/core/hardwarePresets.ts"
import type { RequestFeatures } from "../../src/core/RequestFeatures.ts"
import type { Placement } from "../../src/core/Placement.ts"
import type { Scheduler } from "../../src/core/Scheduler.ts"
import { pod, policyOf, promptOf, schedulerOf, seededRandom } from "../policies/fleet.ts"

const fast = hardwarePresets["qwen3-32b-2xh100"]!

interface FleetOptions {
  readonly podsMax?: number
  readonly seed?: number
  readonly constants?: EngineConstants
}

/** The live scheduler with its default policy over equal idle pods. */
export const fleetOfPods = (
  pods: number,
  { podsMax = 64, seed = 1, constants = fast }: FleetOptions = {}
): Scheduler =>
  schedulerOf(Array.from({ length: pods }, (_, index) => pod(index)), {
    policy: policyOf({ type: "marginal-cost" }),
    podsMax,
    openRequestsMax: 4096,
    prefixEntriesMax: 1_000_000,
    random: seededRandom(seed)
  }, constants)

/** `count` blocks that no other number shares. */
export const blocks = (number: number, count: number): ReadonlyArray<number> =>
  Array.from({ length: count }, (_, i) => number * 10_000 + i + 1)

export const prompt = (...parts: ReadonlyArray<ReadonlyArray<number>>): RequestFeatures => promptOf(...parts.flat())

/** Throws when no pod takes it. */
export const placed = (scheduler: Scheduler, request: RequestFeatures, nowS = 0): Placement => {
  const placement = scheduler.pick(request, [], nowS)
  if (typeof placement === "string") throw new Error(`refused: ${placement}`)
  return placement
}

/** Which of the pods it went to. */
export const podOf = ({ address }: Placement): number => address.port - 8000

/** Sent to this pod whatever the policy says; it stays in flight. */
export const sentTo = (scheduler: Scheduler, index: number, request: RequestFeatures, nowS = 0): Placement =>
  placed(scheduler, { ...request, only: [pod(index).id] }, nowS)

/** Sent to this pod and answered, so that the pod holds the prompt and nothing is in flight. */
export const servedBy = (scheduler: Scheduler, index: number, request: RequestFeatures, nowS = 0): void =>
  served(scheduler, sentTo(scheduler, index, request, nowS), nowS)

/** First token and end at once. */
export const served = (scheduler: Scheduler, { reservation }: Placement, nowS: number): void => {
  scheduler.firstToken(reservation, nowS)
  scheduler.end(reservation, { outputTokens: 10 }, nowS)
}

/** How many of the numbers 0..count-1 there are, each. */
export const countsOf = (count: number, numbers: ReadonlyArray<number>): ReadonlyArray<number> => {
  const counts = Array.from({ length: count }, () => 0)
  for (const number of numbers) counts[number] = (counts[number] ?? 0) + 1
  return counts
}
