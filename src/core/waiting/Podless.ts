import type { Outlook } from "../Candidates.ts"
import type { PodId } from "../Pod.ts"
import type { Scheduler } from "../Scheduler.ts"
import type { Waiting, WaitingTerms } from "./Waiting.ts"
import type { WaitingRoom } from "./WaitingRoom.ts"

/** How often those without a pod are looked at when no pod was heard of: breakers open by the clock. */
const LOOK_EVERY_S = 0.05

/**
 * Of those in the room, the ones that no pod serves for the moment: out of line, so that they are in nobody's way, and
 * back in it, in the order of the room, as soon as a pod would take them.
 */
export class Podless<Ticket> {
  /** So long a request waits without a pod, in all; a reload may bring less to those that wait. */
  podlessS: number
  private readonly scheduler: Scheduler
  private readonly room: WaitingRoom<Ticket>
  private arrivalsSeen = 0
  private lookedS = Number.NEGATIVE_INFINITY
  private readonly outlooks = new Map<string, Outlook>()

  constructor(scheduler: Scheduler, room: WaitingRoom<Ticket>, podlessS: number) {
    this.scheduler = scheduler
    this.room = room
    this.podlessS = podlessS
  }

  /** A pod may come for it while it has time. */
  mayWait({ excluded, podlessS, request, terms }: Waiting<Ticket>, nowS: number): boolean {
    return this.mostS(terms) > podlessS && (terms.clientDeadlineS ?? Number.POSITIVE_INFINITY) > nowS &&
      this.scheduler.outlook(request, excluded, nowS) === "away"
  }

  /** When the waiting of one that is out of line ends. */
  endsS({ podlessS, podlessSinceS = 0, terms }: Waiting<Ticket>): number {
    return Math.min(podlessSinceS + this.mostS(terms) - podlessS, terms.clientDeadlineS ?? Number.POSITIVE_INFINITY)
  }

  /** Why one is refused whose time is over. */
  lateRefusal({ excluded, request }: Waiting<Ticket>, nowS: number): "unknown-model" | "no-pod" {
    return this.scheduler.outlook(request, excluded, nowS) === "unknown-model" ? "unknown-model" : "no-pod"
  }

  /** Takes an entry that no pod can take out of line, and all that are like it. */
  stepOut(entry: Waiting<Ticket>, nowS: number): void {
    const alike = isPlain(entry) ? [...this.room].filter((other) => isAlike(other, entry)) : [entry]
    for (const other of alike) this.room.stepOut(other, nowS)
  }

  /** Puts those in line that have a pod now. Returns those who have no hope of one any more, and why. */
  look(nowS: number): ReadonlyArray<readonly [Waiting<Ticket>, "unknown-model" | "no-pod"]> {
    const { room, scheduler } = this
    if (scheduler.arrivals === this.arrivalsSeen && nowS - this.lookedS < LOOK_EVERY_S) return nobody
    this.arrivalsSeen = scheduler.arrivals
    this.lookedS = nowS
    this.outlooks.clear()
    const hopeless: Array<readonly [Waiting<Ticket>, "unknown-model" | "no-pod"]> = []
    for (const entry of room.podless()) {
      const outlook = this.outlookOf(entry, nowS)
      if (outlook === "pod") this.stepIn(entry, nowS)
      else if (outlook === "unknown-model" && nowS < entry.modelUntilS) continue
      else if (outlook !== "away") hopeless.push([entry, outlook])
    }
    return hopeless
  }

  /** A pod came back, or another process is behind it: requests that it failed may go there again. */
  forgive(id: PodId): void {
    for (const entry of this.room) {
      if (entry.excluded.includes(id)) entry.excluded = entry.excluded.filter((other) => other !== id)
    }
  }

  /** Whoever asked for it waits no longer for the answer. */
  private mostS({ podlessMaxS = Number.POSITIVE_INFINITY }: WaitingTerms): number {
    return Math.min(this.podlessS, podlessMaxS)
  }

  private stepIn(entry: Waiting<Ticket>, nowS: number): void {
    const { room } = this
    const wentByS = nowS - (entry.podlessSinceS ?? nowS)
    entry.podlessS += wentByS
    entry.deadlineS = Math.min(entry.deadlineS + wentByS, entry.terms.clientDeadlineS ?? Number.POSITIVE_INFINITY)
    entry.nextTryS = nowS
    if (entry.ownS === 0) {
      // Without its hits: hashing the prompts of all that waited would take a while just then.
      entry.ownS = this.scheduler.leastColdPrefillS(entry.request, entry.excluded, nowS)
      entry.key = entry.returns ? entry.arrivedS : room.keyOf(entry.ownS, entry.arrivedS)
    }
    room.stepIn(entry)
  }

  private outlookOf(entry: Waiting<Ticket>, nowS: number): Outlook {
    const { excluded, request } = entry
    if (!isPlain(entry)) return this.scheduler.outlook(request, excluded, nowS)
    let outlook = this.outlooks.get(request.model)
    if (outlook === undefined) {
      outlook = this.scheduler.outlook(request, excluded, nowS)
      this.outlooks.set(request.model, outlook)
    }
    return outlook
  }
}

/** Any pod with its model will do. */
const isPlain = ({ excluded, request }: Waiting<unknown>): boolean =>
  excluded.length === 0 && request.only === undefined

const isAlike = (entry: Waiting<unknown>, other: Waiting<unknown>): boolean =>
  entry.podlessSinceS === undefined && entry.request.model === other.request.model && isPlain(entry)

const nobody: ReadonlyArray<never> = []
