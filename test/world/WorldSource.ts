import { Chunk, Effect, Option, Stream } from "effect"
import type { PodAddress } from "../../src/core/Pod.ts"
import { type Discovery, DiscoveryError } from "../../src/discovery/Discovery.ts"

interface Follower {
  readonly tell: (addresses: ReadonlyArray<PodAddress>) => void
  readonly fail: (error: DiscoveryError) => void
}

/** A source of pods whose list and whose faults a test sets. */
export class WorldSource implements Discovery {
  readonly name: string
  private listed: ReadonlyArray<PodAddress>
  private fault: string | undefined = undefined
  private readonly followers = new Set<Follower>()

  constructor(name: string, listed: ReadonlyArray<PodAddress>) {
    this.name = name
    this.listed = listed
  }

  get isReadable(): boolean {
    return this.fault === undefined
  }

  get pods(): ReadonlyArray<PodAddress> {
    return this.listed
  }

  list(addresses: ReadonlyArray<PodAddress>): void {
    this.listed = addresses
    if (this.fault === undefined) { for (const { tell } of this.followers) tell(addresses) }
  }

  /** Can't be read from now on, or can again. */
  setFault(why: string | undefined): void {
    this.fault = why
    if (why === undefined) return
    for (const { fail } of this.followers) fail(this.error(why))
    this.followers.clear()
  }

  readonly addresses: Stream.Stream<ReadonlyArray<PodAddress>, DiscoveryError> = Stream.suspend(() => {
    const { fault } = this
    if (fault !== undefined) return Stream.fail(this.error(fault))
    return Stream.async<ReadonlyArray<PodAddress>, DiscoveryError>((emit) => {
      const follower: Follower = {
        tell: (addresses) => void emit(Effect.succeed(Chunk.of(addresses))),
        fail: (error) => void emit(Effect.fail(Option.some(error)))
      }
      this.followers.add(follower)
      follower.tell(this.listed)
      return Effect.sync(() => this.followers.delete(follower))
    })
  })

  private error(why: string): DiscoveryError {
    return new DiscoveryError({ source: this.name, why })
  }
}
