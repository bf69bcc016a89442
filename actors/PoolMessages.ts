import type { EngineConstants } from "../src/core/EngineConstants.ts"
import type { PodAddress, PodId } from "../src/core/Pod.ts"
import type { PodHandle } from "./PodActor.ts"
import type { PodActorOptions } from "./PodActorOptions.ts"
import type { Gone } from "./PoolEntry.ts"

/** The full set of pods that should be served. From discovery. */
interface PodsDiscovered {
  readonly _tag: "PodsDiscovered"
  readonly addresses: ReadonlyArray<PodAddress>
}
/** The operator changed how fast pods are, how they are watched, or how long they may drain. */
interface PoolSettingsReplaced {
  readonly _tag: "PoolSettingsReplaced"
  readonly settings: PoolSettings
}
/** From the supervisor's own children. `pod` tells an old life of the same id from the present one. */
export interface PodGaveUp {
  readonly _tag: "PodGaveUp"
  readonly id: PodId
  readonly pod: PodHandle
  readonly reason: string
}
interface PodRetryDue {
  readonly _tag: "PodRetryDue"
  /** Its place in the pool since its actor gave up; it may have been removed, have come back and given up again. */
  readonly entry: Gone
}
/** It has nothing left to do, or its grace is over. */
interface PodDrained {
  readonly _tag: "PodDrained"
  readonly id: PodId
  readonly pod: PodHandle
}
interface PodStopped {
  readonly _tag: "PodStopped"
  readonly id: PodId
}
export type PoolMessage = PodsDiscovered | PoolSettingsReplaced | PodGaveUp | PodRetryDue | PodDrained | PodStopped

/** What may change while the pool runs. */
export interface PoolSettings {
  readonly constantsFor: (address: PodAddress) => EngineConstants
  readonly drainGraceMs: number
  readonly pod: PodActorOptions
}

export interface PoolOptions {
  /** Further pods are refused with a warning. */
  readonly podsMax: number
  /** How long a removed pod may finish its requests. */
  readonly drainGraceMs: number
  /** After this long a pod whose actor spent its restart budget gets a new one. */
  readonly podRetryMs: number
  readonly mailboxCapacity: number
  readonly pod: PodActorOptions
}
