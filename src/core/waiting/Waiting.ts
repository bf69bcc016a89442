import type { RequestFeatures, WaitingWish } from "../RequestFeatures.ts"

/** How a request may wait: what it asked for, within what the operator allows. */
export interface WaitingTerms extends Pick<WaitingWish, "bytes" | "flow" | "priority"> {
  /** When the waiting for its turn ends, on the scheduler's clock; time without any pod does not count. */
  readonly deadlineS: number
  /** When its client gives up, so that no waiting goes on. Undefined: never. */
  readonly clientDeadlineS?: number | undefined
  /** The most time without a pod that was there for it as it came: a reload may shorten it. Undefined: any. */
  readonly podlessMaxS?: number | undefined
}

/** A request in the room. `Ticket` is whatever its owner knows it by. */
export interface Waiting<Ticket> {
  readonly ticket: Ticket
  readonly request: RequestFeatures
  /** Pods that failed it and were not away since. */
  excluded: ReadonlyArray<string>
  /** It was under way once and lost its pod, so it goes before those of its band that were not. */
  readonly returns: boolean
  readonly terms: WaitingTerms
  readonly arrivedS: number
  /** Prefill seconds on the pod where it would need least. */
  ownS: number
  /** Its place in its flow, lowest first; see `WaitingRoom.keyOf`. Not to be changed while it is in line. */
  key: number
  /** When it is worth another try, unless it is among the first. */
  nextTryS: number
  /** When the waiting for its turn ends. */
  deadlineS: number
  /** Since when it is out of line because no pod that serves it takes requests; undefined: it is in line. */
  podlessSinceS: number | undefined
  /** Seconds out of line before that. */
  podlessS: number
  /** So long it waits for a pod that serves its model, of which none is known; 0: it does not. */
  modelUntilS: number
}

/** Out of line and before any measurement: a request that just came. */
export const waitingOf = <Ticket>(
  request: RequestFeatures,
  excluded: ReadonlyArray<string>,
  terms: WaitingTerms,
  ticket: Ticket,
  arrivedS: number
): Waiting<Ticket> => ({
  ticket,
  request,
  excluded,
  returns: excluded.length > 0,
  terms,
  arrivedS,
  ownS: 0,
  key: arrivedS,
  nextTryS: arrivedS,
  deadlineS: terms.deadlineS,
  podlessSinceS: undefined,
  podlessS: 0,
  modelUntilS: 0
})
