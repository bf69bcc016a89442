import { Effect } from "effect"
import type { RunSummary } from "../Measurements.ts"
import { type FleetFound, fleetSearch } from "./fleetSearch.ts"

/** One simulated fleet. */
export interface FleetPoint {
  readonly pods: number
  /** Enough requests were inside the objective. */
  readonly holds: boolean
  readonly summary: RunSummary
}

/** What a policy needs. */
export interface PolicyPlan extends FleetFound {
  readonly policy: string
  /** Every fleet that was simulated, smallest first; at least one. */
  readonly points: ReadonlyArray<FleetPoint>
}

/** How far a plan is; `expected` is a guess until the searches are over. */
export interface PlanProgress {
  readonly done: number
  readonly expected: number
}

export interface PlanOptions<E> {
  readonly policies: ReadonlyArray<string>
  /** Share of the requests that must be inside the objective, in (0, 1]. */
  readonly share: number
  readonly podsMax: number
  readonly simulate: (policy: string, pods: number) => Effect.Effect<RunSummary, E>
  readonly onProgress: (progress: PlanProgress) => void
}

/**
 * The smallest fleet for each policy, and enough points around for curves: every policy is also tried with the answers
 * of the others and with the doubled sizes up to the largest answer. Policies are searched side by side;
 * `simulate` decides how many fleets run at once.
 */
export const planFleets = <E>(options: PlanOptions<E>): Effect.Effect<ReadonlyArray<PolicyPlan>, E> =>
  Effect.gen(function*() {
    const { policies } = options
    const expectedEach = Math.ceil(1.5 * Math.log2(options.podsMax)) + 4
    let done = 0
    let expected = policies.length * expectedEach
    const tried = policies.map((policy) => ({ policy, points: new Map<number, FleetPoint>() }))
    const tryFleet = (policy: string, points: Map<number, FleetPoint>, pods: number) =>
      Effect.map(options.simulate(policy, pods), (summary) => {
        const point = { pods, holds: summary.sloShare >= options.share, summary }
        points.set(pods, point)
        done++
        options.onProgress({ done, expected: Math.max(expected, done) })
        return point.holds
      })

    const found = yield* Effect.forEach(tried, ({ points, policy }) =>
      Effect.gen(function*() {
        const search = fleetSearch(options.podsMax)
        let step = search.next()
        while (step.done !== true) step = search.next(yield* tryFleet(policy, points, step.value))
        return step.value
      }), { concurrency: "unbounded" })

    const sizes = curveSizes(found, tried.flatMap(({ points }) => [...points.keys()]))
    const missing = tried.flatMap(({ points, policy }) =>
      sizes.filter((pods) => !points.has(pods)).map((pods) => ({ points, policy, pods }))
    )
    expected = done + missing.length
    yield* Effect.forEach(missing, ({ points, pods, policy }) => tryFleet(policy, points, pods), {
      concurrency: "unbounded",
      discard: true
    })
    return tried.map(({ points, policy }, index) => ({
      policy,
      pods: found[index]!.pods,
      lucky: found[index]!.lucky,
      points: [...points.values()].sort((one, other) => one.pods - other.pods)
    }))
  })

/** Sizes that every curve has: all answers, and the powers of two up to the largest fleet of interest. */
const curveSizes = (found: ReadonlyArray<FleetFound>, tried: ReadonlyArray<number>): ReadonlyArray<number> => {
  const answers = found.flatMap(({ pods }) => pods ?? [])
  const largest = answers.length === found.length ? Math.max(...answers) : Math.max(...tried)
  const sizes = new Set(answers)
  for (let pods = 1; pods <= largest; pods *= 2) sizes.add(pods)
  return [...sizes]
}
