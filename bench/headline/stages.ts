import type { PlannedRequest } from "../../src/simulator/Workload.ts"
import { ladderStages, make } from "../../src/simulator/workloads/ladder.ts"

/** What llm-d published of one stage: output tokens a second, and TTFT in seconds. */
export interface PublishedArm {
  readonly outputTokensPerSecond: number
  readonly ttftMean: number
  readonly ttftP90: number
}

/** The Kubernetes service (no routing) and the blend, by the stage's requests a second. */
export interface Published {
  readonly service: PublishedArm
  readonly blend: PublishedArm
}

const row = (
  ratePerS: number,
  [serviceOutput, blendOutput]: readonly [number, number],
  [serviceMean, blendMean]: readonly [number, number],
  [serviceP90, blendP90]: readonly [number, number]
): readonly [number, Published] => [ratePerS, {
  service: { outputTokensPerSecond: serviceOutput, ttftMean: serviceMean, ttftP90: serviceP90 },
  blend: { outputTokensPerSecond: blendOutput, ttftMean: blendMean, ttftP90: blendP90 }
}]

/**
 * One run of llm-d v0.7/v0.8, Qwen3-32B on 8 vLLM pods of two H100.
 * Source: llm-d `guides/optimized-baseline`, benchmark of the blend queue 2, kv 2, prefix 3, no-hit-lru 2.
 */
const published: ReadonlyMap<number, Published> = new Map([
  row(3, [1797, 1777], [0.415, 0.133], [0.522, 0.162]),
  row(10, [4215, 5066], [0.63, 0.125], [1.014, 0.172]),
  row(15, [5381, 7053], [0.881, 0.122], [1.593, 0.187]),
  row(20, [6205, 11_688], [18.103, 0.174], [35.344, 0.283]),
  row(22, [5517, 12_436], [20.171, 0.116], [39.436, 0.148]),
  row(25, [5965, 12_501], [21.842, 0.116], [42.813, 0.146]),
  row(30, [5702, 13_862], [24.597, 0.117], [46.036, 0.148]),
  row(35, [5890, 14_026], [24.162, 0.117], [45.19, 0.15]),
  row(40, [6336, 16_041], [68.673, 0.153], [126.238, 0.216]),
  row(43, [6588, 16_339], [72.429, 0.254], [130.275, 0.218]),
  row(46, [6459, 16_665], [70.084, 0.154], [129.81, 0.22]),
  row(49, [6265, 16_126], [70.659, 0.151], [133.718, 0.209]),
  row(52, [6303, 16_474], [74.326, 0.152], [134.981, 0.219]),
  row(55, [6290, 16_854], [72.564, 0.153], [134.034, 0.215]),
  row(57, [6089, 16_641], [72.329, 0.153], [135.023, 0.217]),
  row(60, [6551, 17_064], [75.586, 0.154], [138.663, 0.217])
])

/** One stage of the ladder with every request drawn; times in unscaled seconds from its start. */
export interface BenchStage {
  readonly ratePerS: number
  readonly seconds: number
  readonly warmsUp: boolean
  /** Undefined for the warm-up, which nobody reports. */
  readonly published: Published | undefined
  readonly requests: ReadonlyArray<PlannedRequest>
}

/** The warm-up and the stages of these rates; `share` shortens every stage. Throws for a rate that the ladder lacks. */
export const benchStages = (rates: ReadonlyArray<number>, seed: number, share: number): ReadonlyArray<BenchStage> => {
  const total = ladderStages.reduce((sum, [, seconds]) => sum + seconds, 0)
  const { stages } = make({ load: 1, seed, durationS: total * share })
  const indexes = rates.map((rate) => {
    const index = ladderStages.findIndex(([ratePerS], stage) => stage > 0 && ratePerS === rate)
    if (index < 0) throw new Error(`the ladder has no stage of ${rate} requests a second`)
    return index
  })
  return [0, ...indexes].map((index) => {
    const [ratePerS, seconds] = ladderStages[index]!
    const warmsUp = index === 0
    return {
      ratePerS,
      seconds: seconds * share,
      warmsUp,
      published: warmsUp ? undefined : published.get(ratePerS),
      requests: drawn(stages[index]!().arrivals)
    }
  })
}

const drawn = (arrivals: Iterator<PlannedRequest, unknown, undefined>): ReadonlyArray<PlannedRequest> => {
  const requests: Array<PlannedRequest> = []
  for (let next = arrivals.next(); next.done !== true; next = arrivals.next()) requests.push(next.value)
  return requests
}
