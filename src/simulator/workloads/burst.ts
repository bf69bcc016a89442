import { SeededRandom } from "../SeededRandom.ts"
import type { PlannedRequest, Workload, WorkloadOptions } from "../Workload.ts"
import { idsFrom, openLoopWorkload } from "./arrivals.ts"

export const name = "burst"

const PREFIXES = 200
const PREFIX_TOKENS = 4000
const PERIOD_S = 50
const BURST_S = 10
const QUIET_RATE = 0.5
const BURST_RATE = 3
/** Share of a burst's requests that ask about the one thing that everybody asks about. */
const HOT_SHARE = 0.5

/**
 * Waves: half the mean rate for 40 s, then three times the mean for 10 s, in which half of the requests share one
 * fresh prefix. Otherwise 200 prefixes of 4,000 tokens at random; each is followed by about 500 fresh tokens and
 * answered with about 300. `load` is the mean of requests a second.
 */
export const make = ({ durationS = 300, load, seed }: WorkloadOptions): Workload => {
  const random = new SeededRandom(seed)
  const draw = random.fork(0)
  const id = idsFrom(1_000_000)
  const request = (atS: number): PlannedRequest => {
    const isHot = inBurst(atS) && draw.uniform() < HOT_SHARE
    const prefix = isHot ? PREFIXES + Math.floor(atS / PERIOD_S) : draw.below(PREFIXES)
    return {
      afterS: atS,
      prompt: [
        { id: prefix, tokens: PREFIX_TOKENS },
        { id: id(), tokens: draw.logNormal(500, 0.6, 20, 3000) }
      ],
      output: { id: id(), tokens: draw.logNormal(300, 0.7, 10, 2000) },
      outputTokensMax: undefined,
      sessionHash: 0
    }
  }
  return openLoopWorkload(name, durationS, () => waves(random.fork(1), load, durationS, request))
}

const inBurst = (atS: number): boolean => atS % PERIOD_S >= PERIOD_S - BURST_S

/** Thinning: drawn at the highest rate, kept in proportion to the present one. */
const waves = function*(
  random: SeededRandom,
  load: number,
  durationS: number,
  request: (atS: number) => PlannedRequest
): Generator<PlannedRequest> {
  const gapS = 1 / (load * BURST_RATE)
  for (let atS = random.exponential(gapS); atS < durationS; atS += random.exponential(gapS)) {
    const isKept = random.uniform() * BURST_RATE < QUIET_RATE
    if (inBurst(atS) || isKept) yield request(atS)
  }
}
