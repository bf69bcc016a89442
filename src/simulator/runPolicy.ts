import { Either } from "effect"
import type { EngineConstants } from "../core/EngineConstants.ts"
import { podAddress } from "../core/Pod.ts"
import { Scheduler } from "../core/Scheduler.ts"
import { makePolicy, type PolicyDescription } from "../policies/registry.ts"
import type { RunSummary, Slo } from "./Measurements.ts"
import { SeededRandom } from "./SeededRandom.ts"
import { SimulatedPod } from "./SimulatedPod.ts"
import { type PathTimes, type SimulatedRequest, Simulation } from "./Simulation.ts"
import type { Workload } from "./Workload.ts"

export interface RunOptions {
  readonly workload: Workload
  readonly policy: PolicyDescription
  readonly seed: number
  readonly pods: number
  readonly constants: EngineConstants
  readonly path: PathTimes
  /** What `sloShare` counts. Default: TTFT of 2 s and TPOT of 50 ms. */
  readonly slo?: Slo | undefined
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

/** A fresh fleet, a fresh scheduler with the policy, and the world around them. Left: what is wrong with the policy. */
export const makeRun = (
  options: RunOptions
): Either.Either<
  {
    readonly simulation: Simulation
    readonly scheduler: Scheduler
    readonly pods: ReadonlyArray<SimulatedPod<SimulatedRequest>>
  },
  string
> =>
  Either.map(makePolicy(options.policy, options.pods), (policy) => {
    const random = new SeededRandom(options.seed).fork(1)
    const scheduler = new Scheduler({
      policy,
      podsMax: options.pods,
      openRequestsMax: 65_536,
      modelsMax: 1,
      prefixEntriesMax: 4_000_000,
      initialOutputTokens: 256,
      random: () => random.uniform()
    })
    const pods = Array.from({ length: options.pods }, (_, index) => {
      const address = podAddress(`pod-${index}`, 8000, false)
      const pod = new SimulatedPod<SimulatedRequest>(address, options.constants, BLOCK_SIZE_TOKENS, MAX_NUM_SEQS)
      scheduler.join(address, options.constants)
      scheduler.describe(address.id, BLOCK_SIZE_TOKENS, pod.kvCapacityTokens, [MODEL])
      scheduler.observe(address.id, true, 0, 0, 0, 0)
      return pod
    })
    const { path, progress, slo, workload } = options
    return {
      simulation: new Simulation({ workload, scheduler, pods, model: MODEL, path, slo, progress }),
      scheduler,
      pods
    }
  })

/** Runs one policy through a workload. */
export const runPolicy = (options: RunOptions): Either.Either<RunSummary, string> =>
  Either.map(makeRun(options), ({ simulation }) => {
    simulation.run()
    return simulation.measurements.summary()
  })
