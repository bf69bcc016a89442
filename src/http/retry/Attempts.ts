import type { Decision, PodFailure, SchedulerPort } from "../../../actors/SchedulerPort.ts"
import type { PodAddress, PodId } from "../../core/Pod.ts"
import { type GatewayError, NoPodAvailable, PodUnreachable } from "../../errors.ts"
import type { ResponseHead } from "../upstream/UpstreamRequest.ts"
import type { PodFault } from "./PodFault.ts"
import type { RetryBudget } from "./RetryBudget.ts"

/** Why a request that failed is not tried again. request-fault: two pods gave the same 500. */
export type RetryDenial = "limit" | "unsafe" | "budget" | "request-fault" | "no-pod"

/** A pod's own error answer, kept until it is known whether another pod does better. */
export interface PodAnswer {
  readonly head: ResponseHead
  readonly pieces: ReadonlyArray<Uint8Array> | undefined
  readonly pod: PodAddress
}

interface RetryTerms {
  readonly retriesMax: number
  /** Running the request twice does no harm. */
  readonly isRepeatable: boolean
  readonly budget: RetryBudget
}

/** Pods that may refuse the connection before that counts as a try. */
const REFUSALS_MAX = 16

/** The failed tries of one request; made at the first of them. */
export class Attempts {
  readonly failedPods: Array<string> = []
  /** The first that a pod gave. */
  answer: PodAnswer | undefined
  /** What the client hears when no pod answered: the last failure. */
  error: GatewayError | undefined
  /** At pods that were asked. */
  private tries = 0
  private refusals = 0
  /** False: the last pod never heard of the request, so the next one is no retry: the fleet has no more of it. */
  wasAsked = true
  /** Pods that answered 500: theirs or the request's fault, whichever the next pod shows. */
  private suspects: Array<{ readonly id: PodId; readonly failure: PodFailure }> = []
  private isRequestAtFault = false

  failed(decision: Decision, { blame, reason, why }: PodFault, scheduler: SchedulerPort): void {
    const { address: { id }, reservation } = decision
    this.failedPods.push(id)
    this.wasAsked = reason !== "exhausted" && (reason !== "refused" || ++this.refusals > REFUSALS_MAX)
    if (this.wasAsked) this.tries++
    if (blame === "pod") scheduler.podFailed(id, { reservation, why, sure: true })
    if (blame !== "unsure") return
    this.suspects.push({ id, failure: { reservation, why, sure: false } })
    if (this.suspects.length > 1) this.isRequestAtFault = true
  }

  /** Takes a retry from the budget, or says why there is none. */
  denial({ mayHaveRun }: PodFault, { budget, isRepeatable, retriesMax }: RetryTerms): RetryDenial | undefined {
    if (!this.wasAsked) return undefined
    if (this.isRequestAtFault) return "request-fault"
    if (this.tries > retriesMax) return "limit"
    if (mayHaveRun && !isRepeatable) return "unsafe"
    return budget.spend() ? undefined : "budget"
  }

  /** Pods that were tried are gone, and no other came in time: the client may come again, and hears what happened. */
  noneIsLeft({ message, retryAfterS }: NoPodAvailable): void {
    if (!(this.error instanceof PodUnreachable)) return
    this.error = new NoPodAvailable({ message: `${message} Before: ${this.error.message}`, retryAfterS })
  }

  /** A pod did what others did not: those were at fault. */
  served(scheduler: SchedulerPort): void {
    for (const { failure, id } of this.suspects.splice(0)) scheduler.podFailed(id, { ...failure, sure: true })
  }

  /** No pod did it. One that nobody could be compared with stays in doubt. */
  over(scheduler: SchedulerPort): void {
    const suspects = this.suspects.splice(0)
    if (this.isRequestAtFault) return
    for (const { failure, id } of suspects) scheduler.podFailed(id, failure)
  }
}
