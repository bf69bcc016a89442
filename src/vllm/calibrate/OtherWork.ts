import type { PodAddress } from "../../core/Pod.ts"
import type { PodMetrics } from "../MetricsText.ts"
import { makePodProbe } from "../PodProbe.ts"

const PROBE_TIMEOUT_MS = 2000
const SETTLE_MS = 1500
const SETTLE_LOOK_MS = 20
/** One token in so many may be amiss before it is told. */
const SENT_PER_AMISS = 50

/** What a pod does beside being measured, as its own metrics tell. */
export class OtherWork {
  private readonly address: PodAddress
  private readonly before: PodMetrics

  /** `before`: what it told before the first request. */
  constructor(address: PodAddress, before: PodMetrics) {
    this.address = address
    this.before = before
  }

  /** Until the pod has nothing to do, or for a while; `force`: not at all. */
  async untilIdle(force: boolean, signal: AbortSignal): Promise<void> {
    const untilMs = performance.now() + SETTLE_MS
    for (;;) {
      if (signal.aborted) return
      const metrics = await this.metrics()
      if (metrics === undefined || force || performance.now() > untilMs) return
      if (metrics.running + metrics.waiting === 0) return
      await Bun.sleep(SETTLE_LOOK_MS)
    }
  }

  /**
   * Whether anyone else was served and whether our prompts were new to it. `isExact`: all of `sentTokens` were
   * computed there, and no others of ours.
   */
  async notes(sentTokens: number, isExact: boolean): Promise<ReadonlyArray<string>> {
    const { prefixHitsTotal, promptTokensTotal } = this.before
    const after = await this.metrics()
    if (promptTokensTotal === undefined || after?.promptTokensTotal === undefined) return []
    const notes: Array<string> = []
    const others = after.promptTokensTotal - promptTokensTotal - sentTokens
    if (isExact && others > sentTokens / SENT_PER_AMISS) {
      notes.push(`The pod served others meanwhile (${others} prompt tokens): the times are theirs as well.`)
    }
    const hits = (after.prefixHitsTotal ?? 0) - (prefixHitsTotal ?? 0)
    if (hits > sentTokens / SENT_PER_AMISS) {
      notes.push(`${hits} prompt tokens were found in the cache: prefill is too fast.`)
    }
    return notes
  }

  private metrics(): Promise<PodMetrics | undefined> {
    return makePodProbe().metrics(this.address, PROBE_TIMEOUT_MS).catch(() => undefined)
  }
}
