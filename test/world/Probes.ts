import type { Decision } from "../../actors/SchedulerPort.ts"
import type { PodId } from "../../src/core/Pod.ts"

/** Whoever was sent to a pod. */
interface Holder {
  /** It is still there under this reservation. */
  readonly holds: (reservation: number) => boolean
}

interface Probe {
  readonly holder: Holder
  readonly reservation: number
  readonly atMs: number
}

/** The requests that try pods whose breakers are not closed: one at a time at each. */
export class Probes {
  private readonly out = new Map<PodId, Probe>()

  clear(): void {
    this.out.clear()
  }

  /**
   * What is wrong with a pick, undefined when nothing is. `voidSinceMs`: whoever tried the pod before then does so for
   * nobody any more.
   */
  picked(holder: Holder, decision: Decision, atMs: number, voidSinceMs: number): string | undefined {
    if (decision.probes !== true) return undefined
    const { address: { id }, reservation } = decision
    const before = this.out.get(id)
    this.out.set(id, { holder, reservation, atMs })
    const isOut = before !== undefined && before.atMs > voidSinceMs && before.holder.holds(before.reservation)
    return isOut ? `${id} is tried by a second request, the first has done so for ${atMs - before.atMs} ms` : undefined
  }

  /** The first token of a request came. */
  served(id: PodId, reservation: number): void {
    if (this.out.get(id)?.reservation === reservation) this.out.delete(id)
  }
}
