import type { AdmissionOptions } from "./AdmissionOptions.ts"
import { BandsInUse } from "./BandsInUse.ts"
import type { WaitFor } from "./FleetRoom.ts"
import type { Paces } from "./Paces.ts"
import type { Waiting } from "./Waiting.ts"

/**
 * What requests wait for and how long, as the load of their band is. In an overloaded band only those are kept that go
 * on soon, or all would wait long and somebody be refused all the same; and they go to pods that stay fast. A band below
 * one in use waits as long as it must, but leaves the queues short, or the other's next request would wait in a pod.
 */
export class Hurry {
  /** A reload may bring others. */
  options: AdmissionOptions
  private readonly paces: Paces
  private readonly bandsInUse = new BandsInUse()

  constructor(options: AdmissionOptions, paces: Paces) {
    this.options = options
    this.paces = paces
  }

  /** A newcomer is here. */
  heard(priority: number, nowS: number): void {
    this.bandsInUse.heard(priority, nowS, this.options.yieldForS)
  }

  /** When the waiting of a newcomer ends. A retry, and a client that says how long it waits, are not hurried. */
  deadlineS({ arrivedS, ownS, returns, terms }: Waiting<unknown>): number {
    const waitS = this.waitS(terms.priority)
    if (waitS === undefined || returns || terms.clientDeadlineS !== undefined) return terms.deadlineS
    // Less its own work, which comes after it, but never less than that takes.
    return Math.min(terms.deadlineS, arrivedS + Math.max(waitS - ownS, ownS))
  }

  waitFor({ arrivedS, podlessS, returns, terms }: Waiting<unknown>, nowS: number): WaitFor {
    return this.waitForAtOnce(terms.priority, returns || nowS - arrivedS - podlessS >= this.options.patienceS, nowS)
  }

  /** The same of one that has not waited. One that was under way already waits only for its turn: what it flushes or fills it did once before. */
  waitForAtOnce(priority: number, forTurnOnly: boolean, nowS: number): WaitFor {
    if (forTurnOnly) return "turn"
    if (this.waitS(priority) !== undefined) return "ample"
    return this.yields(priority, nowS) ? "modest" : "room"
  }

  /** The most prefill ahead of a request of the band on its pod, where that is less than the scheduler's own. */
  queueMaxS(priority: number, nowS: number): number | undefined {
    const { bandQueueMaxS, shortQueueMaxS } = this.options
    const ownS = bandQueueMaxS?.get(priority)
    if (shortQueueMaxS === undefined) return ownS
    if (this.waitS(priority) !== undefined) return Math.min(ownS ?? shortQueueMaxS, shortQueueMaxS)
    return ownS ?? (this.yields(priority, nowS) ? shortQueueMaxS : undefined)
  }

  private yields(priority: number, nowS: number): boolean {
    return this.bandsInUse.isBelowAnother(priority, nowS, this.options.yieldForS)
  }

  /** So long requests of the band wait at most now; undefined: as long as at other times. */
  private waitS(priority: number): number | undefined {
    const { bandOverloadWaitS, overloadWaitS = Number.POSITIVE_INFINITY } = this.options
    const waitS = bandOverloadWaitS?.get(priority) ?? overloadWaitS
    return waitS < Number.POSITIVE_INFINITY && this.paces.isOverloaded(priority) ? waitS : undefined
  }
}
