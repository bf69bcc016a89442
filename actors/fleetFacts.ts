import type { PodId } from "../src/core/Pod.ts"
import type { Scheduler } from "../src/core/Scheduler.ts"
import type { FleetFact, PodJoined, SketchExport } from "./SchedulerMessages.ts"

/** A fact about pods or policy. Returns what an operator should hear of it. */
export const takeFact = (scheduler: Scheduler, message: FleetFact, nowS: number): string | undefined => {
  switch (message._tag) {
    case "PodFailed": {
      const { id, failure: { reservation, sure, why } } = message
      scheduler.podFailed(id, reservation, sure, why, nowS)
      return undefined
    }
    case "PodJoined":
      return join(scheduler, message)
    case "PodDescribed":
      scheduler.describe(
        message.id,
        message.blockSizeTokens,
        message.kvCapacityTokens,
        message.models,
        message.contextTokensMax
      )
      return undefined
    case "PodObserved":
      scheduler.observe(
        message.id,
        message.accepting,
        message.running,
        message.waiting,
        message.kvUsage,
        nowS,
        message.lora,
        message.strained
      )
      return undefined
    case "PodRestarted":
      scheduler.restarted(message.id)
      return undefined
    case "PodLeft":
      scheduler.leave(message.id)
      return undefined
    case "PodRecalibrated":
      scheduler.recalibrate(message.id, message.constants)
      return undefined
    case "PolicyReplaced":
      scheduler.replacePolicy(message.policy)
      return undefined
    default:
      return message satisfies never
  }
}

/** A pod that may have lost what it had against a request. */
export const backAgain = (message: FleetFact): PodId | undefined =>
  message._tag === "PodObserved" || message._tag === "PodRestarted" ? message.id : undefined

const join = (scheduler: Scheduler, { address, constants, restored }: PodJoined): string | undefined => {
  if (!scheduler.join(address, constants)) {
    return `pod ${address.id} is left out: the pod table is full (limits.podsMax)`
  }
  const refused = restored === undefined ? undefined : scheduler.restoreSketch(address.id, restored)
  return refused === undefined
    ? undefined
    : `pod ${address.id} starts cold: its saved sketch is unusable (${refused})`
}

export const exportSketch = (scheduler: Scheduler, id: PodId): ReadonlyArray<SketchExport> => {
  const sketch = scheduler.exportSketch(id)
  return sketch === undefined ? [] : [{ id, ...sketch }]
}
