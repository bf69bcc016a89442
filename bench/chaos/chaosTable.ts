import type { StallReport } from "./stallReport.ts"

/** One gateway under chaos. */
export interface ChaosRun {
  readonly gateway: string
  /** The sum of `ok`, `cleanErrors`, `uncleanErrors` and `lostWithGateway`. */
  readonly requests: number
  readonly ok: number
  /** Sent to another pod before the answer began, as the gateway counts it. */
  readonly retried: number
  /** Streams that went on at another pod to their end. */
  readonly rescued: number
  readonly cleanErrors: number
  /** Clean errors while at least one pod was well. */
  readonly cleanErrorsWithPodsLeft: number
  readonly uncleanErrors: number
  readonly inflightAfter: number
  readonly rssStartMb: number
  readonly rssEndMb: number
  readonly longestStallMs: number
  /** The stall that is the bench's own: the same of streams asked of pods past the gateway, or how late its timers were. */
  readonly benchStallMs: number
  /** Broken because the gateway itself was killed. */
  readonly lostWithGateway: number
  readonly gatewayDownMs: number
  readonly healthyStreams: number
  readonly longestRequestMs: number
  /** Of streams asked of the pods themselves at the same time: no gateway had a part in it. */
  readonly directStallMs: number
  readonly directStreams: number
  /** How late the bench's own timers were at worst, in the client and in the pods. */
  readonly benchLagMs: number
  /** The longest way of an event from its pod to its client, less what the client was late; streams as in longestStallMs. */
  readonly longestWayMs: number
  /** The same without a gateway. */
  readonly directWayMs: number
  /** Healthy streams that this is of. */
  readonly tracedStreams: number
  /** The worst ones and where their time went. */
  readonly stalls: StallReport["stalls"]
  readonly directStalls: StallReport["stalls"]
  readonly reasons: Readonly<Record<string, number>>
  readonly version: string
}

const RSS_RATIO_MAX = 1.2

const STALL_MAX_MS = 100

/** What must hold of this gateway under chaos and does not. `isWhole`: the run was long enough for memory and stalls. */
export const brokenByChaos = (runs: ReadonlyArray<ChaosRun>, isWhole: boolean): ReadonlyArray<string> => {
  const broken: Array<string> = []
  // Of the others the table tells.
  for (const run of runs) {
    if (run.gateway !== "warmroute") continue
    const { directStallMs, inflightAfter, longestStallMs, rssEndMb, rssStartMb, uncleanErrors } = run
    if (uncleanErrors > 0) broken.push(`${uncleanErrors} requests ended unclean`)
    if (inflightAfter > 0) broken.push(`${inflightAfter} requests or reservations were left over`)
    // Streams that no gateway had a part in tell what the machine is good for.
    if (isWhole && longestStallMs > Math.max(STALL_MAX_MS, directStallMs)) {
      broken.push(`a healthy stream stalled for ${longestStallMs} ms; ${STALL_MAX_MS} is the limit`)
    }
    if (isWhole && rssEndMb > rssStartMb * RSS_RATIO_MAX) {
      broken.push(`memory grew from ${rssStartMb} to ${rssEndMb} MB; ${RSS_RATIO_MAX} times is the limit`)
    }
  }
  return broken
}

/** A Markdown table with one line a gateway. */
export const chaosTable = (runs: ReadonlyArray<ChaosRun>): string =>
  [
    "| gateway | requests | ok | retried | rescued | clean errors | unclean errors | lost with the gateway " +
    "| in hand after | RSS before / after, MB | longest stall, ms | of it the bench's own, up to " +
    "| longest way of a token from pod to client, without a gateway, ms |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ...runs.map((run) =>
      `| ${run.gateway} | ${run.requests} | ${run.ok} | ${run.retried} | ${run.rescued} | ${run.cleanErrors} ` +
      `| ${run.uncleanErrors} | ${run.lostWithGateway} | ${run.inflightAfter} ` +
      `| ${run.rssStartMb} / ${run.rssEndMb} | ${run.longestStallMs} | ${run.benchStallMs} ` +
      `| ${run.longestWayMs}, ${run.directWayMs} |`
    )
  ].join("\n")
