import { Either } from "effect"
import type { EngineConstants } from "../core/EngineConstants.ts"
import { podAddress } from "../core/Pod.ts"
import type { Policy } from "../core/Policy.ts"
import { Scheduler } from "../core/Scheduler.ts"
import { admissionDefaults } from "../core/waiting/AdmissionOptions.ts"
import * as marginalCost from "../policies/placement/marginal-cost.ts"
import { makePolicy, type PolicyDescription } from "../policies/registry.ts"
import { boundName, boundPolicy } from "./bound.ts"
import { evenFleet, type Fleet } from "./Fleet.ts"
import type { Measured, RunSummary, Slo } from "./Measurements.ts"
import { SeededRandom } from "./SeededRandom.ts"
import { SharedCache } from "./SharedCache.ts"
import { joinPod } from "./joinPod.ts"
import { SimulatedPod } from "./SimulatedPod.ts"
import type { SimulatedRequest } from "./SimulatedRequest.ts"
import { type PathTimes, Simulation } from "./Simulation.ts"
import type { Workload } from "./Workload.ts"

export interface RunOptions {
  readonly workload: Workload
  /** One of the registry's, or the bound. */
  readonly policy: PolicyDescription
  readonly seed: number
  readonly pods: number
  readonly constants: EngineConstants
  readonly path: PathTimes
  /** Instead of `pods` equal ones of these constants behind one gateway. */
  readonly fleet?: Fleet | undefined
  /** Whether gateways hold requests while every pod would queue them. Default: with our own policy; rivals never do. */
  readonly holds?: boolean | undefined
  /** What `sloShare` counts. Default: TTFT of 2 s and TPOT of 50 ms. */
  readonly slo?: Slo | undefined
  /** Told of each measured request as it ends. */
  readonly onMeasured?: ((request: Measured) => void) | undefined
  readonly progress?: ((ended: number, nowS: number) => void) | undefined
}

/**
 * Where the time between client and engine goes. An empty pod of the published ladder answers 61 ms later than its
 * engine alone would (DESIGN 5), most of it on the way in, where the prompt is tokenized. Metrics every 50 ms, llm-d's
 * default, so that policies which live by them are not held back.
 */
export const defaultPath: PathTimes = { toPodS: 0.045, fromPodS: 0.016, scrapeIntervalS: 0.05, scrapeAgeS: 0.01 }

/** vLLM's default block size, and `max_num_seqs` of its server on an H100. */
const BLOCK_SIZE_TOKENS = 16
const MAX_NUM_SEQS = 1024
const MODEL = "simulated"

interface Run {
  readonly simulation: Simulation
  /** Of the first gateway. */
  readonly scheduler: Scheduler
  readonly pods: ReadonlyArray<SimulatedPod<SimulatedRequest>>
}

/** A fresh fleet, a fresh scheduler a gateway, and the world around them. Left: what is wrong with the policy. */
export const makeRun = (options: RunOptions): Either.Either<Run, string> =>
  Either.gen(function*() {
    const fleet = options.fleet ?? evenFleet(options)
    const cache = options.policy.type === boundName ? new SharedCache() : undefined
    const random = new SeededRandom(options.seed)
    const pods = fleet.pods.map(({ engine }, index) => {
      const address = podAddress(`pod-${index}`, 8000, false)
      return new SimulatedPod<SimulatedRequest>(address, engine, BLOCK_SIZE_TOKENS, MAX_NUM_SEQS, cache)
    })
    const schedulers: Array<Scheduler> = []
    for (let gateway = 0; gateway < fleet.gateways; gateway++) {
      const policy = yield* policyOf(options.policy, pods, cache)
      schedulers.push(schedulerOf(policy, pods.length, random.fork(1 + gateway)))
    }
    for (const [index, { joinsAtS }] of fleet.pods.entries()) {
      if (joinsAtS > 0) continue
      joinPod(schedulers, fleet, pods, index, MODEL)
      for (const scheduler of schedulers) scheduler.observe(pods[index]!.address.id, true, 0, 0, 0, 0)
    }
    const { onMeasured, path, progress, slo, workload } = options
    const simulation = new Simulation({
      workload,
      schedulers,
      fleet,
      pods,
      random: random.fork(0),
      model: MODEL,
      path,
      slo,
      holding: options.holds ?? options.policy.type === marginalCost.type ? admissionDefaults : undefined,
      onMeasured,
      progress
    })
    return { simulation, scheduler: schedulers[0]!, pods }
  })

const policyOf = (
  description: PolicyDescription,
  pods: ReadonlyArray<SimulatedPod<SimulatedRequest>>,
  cache: SharedCache | undefined
): Either.Either<Policy, string> => {
  if (cache === undefined) return makePolicy(description, pods.length)
  const byId = new Map(pods.map((pod) => [`${pod.address.id}`, pod]))
  const usedTokens = (id: string): number => {
    const pod = byId.get(id)
    return pod === undefined ? 0 : pod.engine.kvUsage * pod.kvCapacityTokens
  }
  return Either.map(
    makePolicy({ type: marginalCost.type }, pods.length),
    (policy) => boundPolicy(policy, cache, usedTokens)
  )
}

const schedulerOf = (policy: Policy, pods: number, random: SeededRandom): Scheduler =>
  new Scheduler({
    policy,
    podsMax: pods,
    openRequestsMax: 65_536,
    modelsMax: 1,
    prefixEntriesMax: 4_000_000,
    initialOutputTokens: 256,
    random: () => random.uniform()
  })

/** Runs one policy through a workload. */
export const runPolicy = (options: RunOptions): Either.Either<RunSummary, string> =>
  Either.map(makeRun(options), ({ simulation }) => {
    simulation.run()
    return simulation.measurements.summary()
  })
