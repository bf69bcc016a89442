import type { PodAddress, PodId } from "../core/Pod.ts"
import type { RequestFeatures } from "../core/RequestFeatures.ts"
import type { Placement, Refusal } from "../core/Placement.ts"
import type { Scheduler } from "../core/Scheduler.ts"
import { Admission } from "../core/waiting/Admission.ts"
import type { AdmissionOptions, WaitRefusal } from "../core/waiting/AdmissionOptions.ts"

/** A placement by one of several gateways, and what the others made of the news of it. */
export interface Dispatch {
  readonly gateway: number
  readonly placement: Placement
  /** Reservations by gateway; -1: none there. */
  readonly reservations: Float64Array
}

/** How gateways hold requests back, and who hears how it goes on with one, by its number. */
export interface Holding {
  readonly options: AdmissionOptions
  readonly goOn: (number: number, outcome: Dispatch | Refusal | WaitRefusal) => void
}

/** A request as the gateways see it. */
interface Asking {
  readonly number: number
  readonly features: RequestFeatures
  readonly excluded: ReadonlyArray<string>
}

/** Clients of a simulation never give up, and are all alike. */
const patiently = { priority: 0, flow: "", bytes: 0, deadlineS: Number.POSITIVE_INFINITY }

/**
 * The gateways in front of one fleet, each with a live scheduler of its own. With shared state a gateway that hears of
 * another's dispatch makes the same reservation: a pick with only that pod left, so that its sketch and the policy's
 * memory learn it as if the pick were its own. News of first tokens and ends follow, all equally late and in order.
 */
export class Gateways {
  private readonly schedulers: ReadonlyArray<Scheduler>
  /** Where requests wait for room; none: each is placed at once, as the rivals do. */
  private readonly admissions: ReadonlyArray<Admission<number>>
  private readonly podIds: ReadonlyArray<PodId>
  /** Asks for a call of `hearNext` once the news has arrived; undefined: nothing is shared. */
  private readonly announce: (() => void) | undefined
  private readonly news: Array<(nowS: number) => void> = []

  constructor(
    schedulers: ReadonlyArray<Scheduler>,
    pods: ReadonlyArray<PodAddress>,
    holding: Holding | undefined,
    announce: (() => void) | undefined
  ) {
    this.schedulers = schedulers
    this.admissions = holding === undefined ?
      [] :
      schedulers.map((scheduler, gateway) =>
        new Admission<number>(
          scheduler,
          holding.options,
          ({ request, ticket }, outcome) =>
            holding.goOn(ticket, typeof outcome === "string" ? outcome : this.dispatched(gateway, request, outcome))
        )
      )
    this.podIds = pods.map(({ id }) => id)
    this.announce = schedulers.length > 1 ? announce : undefined
  }

  get count(): number {
    return this.schedulers.length
  }

  /** "waiting": the gateway holds the request; how it goes on is told later. */
  pick(
    gateway: number,
    { excluded, features, number }: Asking,
    nowS: number
  ): Dispatch | Refusal | WaitRefusal | "waiting" {
    const outcome = this.admissions[gateway]?.submit(features, excluded, patiently, number, nowS) ??
      this.schedulers[gateway]!.pick(features, excluded, nowS)
    return typeof outcome === "string" ? outcome : this.dispatched(gateway, features, outcome)
  }

  /** Time went by: requests that wait may go on. */
  settle(nowS: number): void {
    for (const admission of this.admissions) admission.settle(nowS)
  }

  firstToken(dispatch: Dispatch, nowS: number): void {
    const { gateway, reservations } = dispatch
    this.schedulers[gateway]!.firstToken(reservations[gateway]!, nowS)
    this.admissions[gateway]?.settle(nowS)
    this.tellOthers(dispatch, (scheduler, other, heardS) => scheduler.firstToken(reservations[other]!, heardS))
  }

  /** 0 output tokens: it failed. */
  end(dispatch: Dispatch, outputTokens: number, nowS: number): void {
    const { gateway, reservations } = dispatch
    const ended = outputTokens > 0 ? { outputTokens } : {}
    this.schedulers[gateway]!.end(reservations[gateway]!, ended, nowS)
    this.admissions[gateway]?.settle(nowS)
    this.tellOthers(dispatch, (scheduler, other, heardS) => scheduler.end(reservations[other]!, ended, heardS))
  }

  /** The oldest news has arrived. */
  hearNext(nowS: number): void {
    this.news.shift()?.(nowS)
  }

  private dispatched(gateway: number, features: RequestFeatures, placement: Placement): Dispatch {
    const reservations = new Float64Array(this.schedulers.length).fill(-1)
    reservations[gateway] = placement.reservation
    const dispatch = { gateway, placement, reservations }
    this.tellOthers(dispatch, (scheduler, other, heardS) => {
      const others = this.podIds.filter((id) => id !== placement.address.id)
      const same = scheduler.pick(features, others, heardS)
      if (typeof same !== "string") reservations[other] = same.reservation
    })
    return dispatch
  }

  private tellOthers(
    { gateway }: Dispatch,
    hear: (scheduler: Scheduler, other: number, heardS: number) => void
  ): void {
    if (this.announce === undefined) return
    this.news.push((heardS) => {
      for (const [other, scheduler] of this.schedulers.entries()) if (other !== gateway) hear(scheduler, other, heardS)
    })
    this.announce()
  }
}
