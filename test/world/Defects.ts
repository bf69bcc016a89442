import type { ModelCard } from "../../actors/PoolView.ts"
import type { Policy } from "../../src/core/Policy.ts"
import type { SeededRandom } from "../../src/simulator/SeededRandom.ts"
import type { WorldGateway } from "./WorldGateway.ts"

/** Where a defect strikes: what is thrown there is thrown once, or a few times. */
export const defectPlaces = ["scheduler", "pick", "pods", "inspection", "pool", "snapshot", "discovery"] as const
type DefectPlace = (typeof defectPlaces)[number]

/** After the last of them every actor is at work again, unless a pod's gave up. */
const OVER_AFTER_MS = 15_000

/** Throws inside the actors of one gateway process, as a defect of ours would. */
export class Defects {
  /** Crashes that must have been logged by now, at most. */
  fired = 0
  private armedPicks = 0
  private armedScrapes = 0
  private armedSnapshots = 0
  private armedInspections = 0
  private lastMs = Number.NEGATIVE_INFINITY
  private readonly nowMs: () => number

  constructor(nowMs: () => number) {
    this.nowMs = nowMs
  }

  /** Some actor may still be on its way back. */
  get areFresh(): boolean {
    return this.nowMs() - this.lastMs < OVER_AFTER_MS
  }

  /** No more of those that have not struck. */
  disarm(): void {
    this.armedPicks =
      this.armedScrapes =
      this.armedSnapshots =
      this.armedInspections =
        0
  }

  strike(place: DefectPlace, gateway: WorldGateway, random: SeededRandom): void {
    switch (place) {
      case "scheduler":
        return this.poison((message) => gateway.scheduler.ref.unsafeTell(message({ _tag: "PodLeft", id: "" })))
      case "pool":
        return this.poison((message) => gateway.pool.ref.unsafeTell(message({ _tag: "PodRetryDue", id: "" })))
      case "discovery":
        return this.poison((message) => gateway.replaceSources(message([]) as never))
      case "pick":
        this.armedPicks++
        return
      case "snapshot":
        this.armedSnapshots++
        return
      case "inspection":
        this.armedInspections++
        return
      case "pods":
        // So many that one pod's actor may spend its restarts.
        this.armedScrapes += 1 + random.below(8)
        return
      default:
        return place satisfies never
    }
  }

  readonly inPick = (policy: Policy): Policy => ({
    ...policy,
    type: policy.type,
    pick: (context) => {
      if (this.armedPicks > 0) {
        this.armedPicks--
        this.crash()
      }
      return policy.pick(context)
    }
  })

  readonly inSnapshot = (): void => {
    if (this.armedSnapshots === 0) return
    this.armedSnapshots--
    this.crash()
  }

  /** A pod's models, as its actor reads them from what an inspection brought. */
  readonly inInspection = (cards: ReadonlyArray<ModelCard>): ReadonlyArray<ModelCard> => {
    if (this.armedInspections === 0) return cards
    this.armedInspections--
    let isFresh = true
    return cards.map((card) =>
      new Proxy(card, {
        get: (target, name) => {
          if (isFresh && name === "id") {
            isFresh = false
            return this.crash()
          }
          return Reflect.get(target, name)
        }
      })
    )
  }

  readonly inScrape = (): void => {
    if (this.armedScrapes === 0) return
    this.armedScrapes--
    this.crash()
  }

  private crash(): never {
    this.note()
    throw new Error("an injected defect")
  }

  private note(): void {
    this.fired++
    this.lastMs = this.nowMs()
  }

  /** A message that throws when it is read. */
  private poison(tell: (message: <A extends object>(like: A) => never) => unknown): void {
    tell((like) =>
      new Proxy(like, {
        get: (target, name) => {
          if (name === "_tag") return Reflect.get(target, name)
          return this.crash()
        }
      }) as never
    )
  }
}
