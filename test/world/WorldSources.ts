import type { PodId } from "../../src/core/Pod.ts"
import type { SeededRandom } from "../../src/simulator/SeededRandom.ts"
import type { FaultyPod } from "./FaultyPod.ts"
import type { VirtualTime } from "./VirtualTime.ts"
import { WorldSource } from "./WorldSource.ts"

/** Two places that list the pods, and what their operator and their faults do to them. */
export class WorldSources {
  sources: ReadonlyArray<WorldSource>
  /** Pods that no source lists, and since when. */
  readonly unlistedSinceMs = new Map<PodId, number>()
  /** Pods that some source lists while all can be read, and since when. */
  readonly listedSinceMs = new Map<PodId, number>()
  private made = 0
  private readonly pods: ReadonlyArray<FaultyPod>
  private readonly time: VirtualTime

  constructor(pods: ReadonlyArray<FaultyPod>, time: VirtualTime) {
    this.pods = pods
    this.time = time
    const middle = Math.ceil(pods.length / 2)
    const addresses = pods.map(({ address }) => address)
    this.sources = [this.source(addresses.slice(0, middle)), this.source(addresses.slice(middle))]
    this.relist()
  }

  /** Another place instead of one of them. */
  replaceOne(random: SeededRandom): void {
    const at = random.below(2)
    const source = this.source(this.listOf(this.one(random), random))
    this.sources = this.sources.with(at, source)
    this.relist()
  }

  /** A pod more, or one less. Returns the source's name. */
  changeList(random: SeededRandom): string {
    const source = this.one(random)
    source.list(this.listOf(source, random))
    this.relist()
    return source.name
  }

  /** It can't be read for a while. Returns the source's name. */
  break(random: SeededRandom): string {
    const source = this.one(random)
    source.setFault("it is gone")
    this.relist()
    this.time.after(random.between(500, 8000), () => {
      source.setFault(undefined)
      this.relist()
    })
    return source.name
  }

  /** All can be read and list all. */
  heal(): void {
    const addresses = this.pods.map(({ address }) => address)
    this.sources.forEach((source, index) => {
      source.setFault(undefined)
      source.list(addresses.filter((_, at) => at % 2 === index))
    })
    this.relist()
  }

  private one(random: SeededRandom): WorldSource {
    return this.sources[random.below(2)]!
  }

  private listOf(source: WorldSource, random: SeededRandom): WorldSource["pods"] {
    const { address } = this.pods[random.below(this.pods.length)]!
    const others = source.pods.filter(({ id }) => id !== address.id)
    return others.length < source.pods.length ? others : [...source.pods, address]
  }

  private source(addresses: WorldSource["pods"]): WorldSource {
    return new WorldSource(`source ${this.made++}`, addresses)
  }

  /** While one can't be read, what it listed holds. */
  private relist(): void {
    const listed = new Set(this.sources.flatMap(({ pods }) => pods.map(({ id }) => id)))
    const areReadable = this.sources.every(({ isReadable }) => isReadable)
    for (const { address: { id } } of this.pods) {
      if (!listed.has(id) || !areReadable) this.listedSinceMs.delete(id)
      else if (!this.listedSinceMs.has(id)) this.listedSinceMs.set(id, this.time.nowMs)
      if (listed.has(id) || !areReadable) this.unlistedSinceMs.delete(id)
      else if (!this.unlistedSinceMs.has(id)) this.unlistedSinceMs.set(id, this.time.nowMs)
    }
  }
}
