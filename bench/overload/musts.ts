/** What a gateway's loads come down to, as far as something must hold of it. */
export interface Judged {
  readonly gateway: string
  readonly goodputKept: number
  readonly goodWorkKept: number
  readonly highSlowdown: number
  readonly heavyOverFair: number
}

/** Something that must hold of a gateway, with what was measured. */
export interface Must {
  readonly text: string
  readonly met: boolean
}

const KEPT_MIN = 0.95
const HIGH_SLOWDOWN_MAX = 1.5
/** A share is measured over some hundred requests. */
const OVER_FAIR_MAX = 1.05

/** What must hold of our own gateways; of the others the table tells. */
export const mustsOf = (runs: ReadonlyArray<Judged>): ReadonlyArray<Must> =>
  runs.flatMap(({ gateway, goodWorkKept, goodputKept, heavyOverFair, highSlowdown }) => {
    const percent = (share: number): string => `${(share * 100).toFixed(1)} %`
    const must = (met: boolean, text: string): Must => ({ met, text: `${gateway}: ${text}` })
    const ofBoth = [
      must(
        goodputKept >= KEPT_MIN,
        `goodput inside the SLO at the highest load is ${percent(goodputKept)} of its best, at least ${
          percent(KEPT_MIN)
        }`
      ),
      must(
        heavyOverFair <= OVER_FAIR_MAX,
        `the heavy flow got ${heavyOverFair.toFixed(2)} times its fair share, at most ${OVER_FAIR_MAX}`
      )
    ]
    if (gateway === "warmroute-shipped") return ofBoth
    if (gateway !== "warmroute") return []
    return [
      ...ofBoth,
      must(
        goodWorkKept >= KEPT_MIN,
        `the same by prefill work is ${percent(goodWorkKept)} of its best, at least ${percent(KEPT_MIN)}`
      ),
      must(
        highSlowdown <= HIGH_SLOWDOWN_MAX,
        `the high band's P99 TTFT is ${
          highSlowdown.toFixed(2)
        } times that of an unloaded fleet, at most ${HIGH_SLOWDOWN_MAX}`
      )
    ]
  })
