import type { ModelCard } from "../../actors/PoolView.ts"
import type { Policy } from "../../src/core/Policy.ts"
import type { SeededRandom } from "../../src/simulator/SeededRandom.ts"
import type { VirtualTime } from "./VirtualTime.ts"
import type { WorldGateway } from "./WorldGateway.ts"

/** Where a defect strikes: what is thrown there is thrown once, or a few times. */
export const defectPlaces = ["scheduler", "pick", "pods", "inspection", "pool", "snapshot", "discovery"] as const
type DefectPlace = (typeof defectPlaces)[number]

/** Actors that end their gateway when they crash too often, and how often and how soon they do so here. */
const vitalPlaces = ["scheduler", "pool", "discovery"] as const
const CRASHES_TO_SPEND = 60
const CRASH_EVERY_MS = 50

/** Throws inside the actors of one gateway process, as a defect of ours would. */
export class Defects {
  /** Crashes that must have been logged by now, at most. */
  fired = 0
  private armedPicks = 0
  private armedScrapes = 0
  private armedSnapshots = 0
  private armedInspections = 0
  private isSpending = false
  private readonly time: VirtualTime

  constructor(time: VirtualTime) {
    this.time = time
  }

  /** No more of those that have not struck. */
  disarm(): void {
    this.isSpending = false
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

  /** One of the actors that all need crashes until nobody restarts it. Returns which. */
  spend(gateway: WorldGateway, random: SeededRandom): string {
    const place = vitalPlaces[random.below(vitalPlaces.length)]!
    this.isSpending = true
    this.spendOn(place, gateway, random, CRASHES_TO_SPEND)
    return place
  }

  private spendOn(place: DefectPlace, gateway: WorldGateway, random: SeededRandom, left: number): void {
    if (!this.isSpending || left === 0 || gateway.isGone || gateway.lost !== undefined) return
    this.strike(place, gateway, random)
    this.time.after(CRASH_EVERY_MS, () => this.spendOn(place, gateway, random, left - 1))
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
    this.fired++
    throw new Error("an injected defect")
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
