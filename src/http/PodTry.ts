import type { Decision } from "../../actors/SchedulerPort.ts"
import type { UpstreamCall } from "./upstream/UpstreamCall.ts"

/** One try at a pod, from its pick to the end of its reservation; when the pod fails, another one may follow. */
export class PodTry {
  readonly decision: Decision
  readonly pickedMs = performance.now()
  call: UpstreamCall | undefined
  firstTokenSeen = false
  /** From the pick to the first token; only a stream shows it. */
  observedTtftMs: number | undefined

  constructor(decision: Decision) {
    this.decision = decision
  }
}
