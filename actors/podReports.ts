import { Clock, Effect, type LogLevel } from "effect"
import type { EngineConstants } from "../src/core/EngineConstants.ts"
import type { PodAddress, PodId } from "../src/core/Pod.ts"
import type { PodRecord } from "../src/storage/SnapshotStore.ts"
import type { PodProbeError } from "../src/vllm/PodProbe.ts"
import { describePod, mayAccept, type PodState, sameDescription } from "./PodState.ts"
import type { ActorRef } from "./runtime/Actor.ts"
import type { SchedulerMessage } from "./SchedulerMessages.ts"
import type { TurnLines } from "./TurnLines.ts"

/** What a pod's actor knows of itself when it tells of its pod: to the scheduler, and in the log. */
export interface Reporting {
  readonly id: PodId
  readonly address: PodAddress
  readonly constants: EngineConstants
  /** What the snapshot kept of this pod. */
  readonly restored: PodRecord | undefined
  readonly scheduler: ActorRef<SchedulerMessage>
  readonly turnLines: TurnLines
  readonly options: { readonly warnEveryMs: number }
}

export const join = (pod: Reporting): void => {
  const { address, constants, id, restored } = pod
  const sketch = restored === undefined ? undefined : { ...restored.sketch, id }
  tellSurely(pod, { _tag: "PodJoined", address, constants, restored: sketch })
}

/** Tells the scheduler what the pod is, if it is known and not what was told last. */
export const describe = (pod: Reporting, state: PodState): PodState => {
  const described = describePod(pod.id, state, pod.constants)
  if (described === undefined || sameDescription(described, state.described)) return state
  tellSurely(pod, described)
  return { ...state, described }
}

/** Tells the scheduler what was seen, if that is new or whether the pod may take requests has changed. */
export const observe = (pod: Reporting, state: PodState, fresh = false): PodState => {
  const accepting = mayAccept(state)
  const strained = accepting && state.isStrained
  const turned = accepting !== state.accepting || strained !== state.toldStrained
  if (!fresh && !turned) return state
  // Of a pod that fell ill nothing is known until it tells again; what it told last would stand there for hours.
  const told = fresh || state.health !== "unhealthy" ? state.metrics : undefined
  const { kvUsage, lora, running, waiting } = told ?? { kvUsage: 0, running: 0, waiting: 0, lora: undefined }
  const seen = { accepting, strained, running, waiting, kvUsage, lora }
  const observed: SchedulerMessage = { _tag: "PodObserved", id: pod.id, ...seen }
  // Numbers may be lost, the next scrape brings newer ones; a turn must arrive.
  if (turned) tellSurely(pod, observed)
  else pod.scheduler.unsafeTell(observed)
  return turned ? { ...state, accepting, toldStrained: strained } : state
}

/** The reserved room is touched only when the ordinary one is full: it is there for the ends of requests first. */
export const tellSurely = (pod: Reporting, message: SchedulerMessage): void => {
  if (!pod.scheduler.unsafeTell(message)) pod.scheduler.unsafeTellReserved(message)
}

/** A line about a change of the pod's; one that goes to and fro has only a few in a minute. */
export const logTurn = ({ options: { warnEveryMs }, turnLines }: Reporting, level: LogLevel.LogLevel, text: string) =>
  Effect.flatMap(Clock.currentTimeMillis, (nowMs) => {
    const fate = turnLines.next(nowMs, warnEveryMs)
    if (fate === "kept-back") return Effect.void
    const more = fate === "last" ? ` (what follows within ${Math.round(warnEveryMs / 1000)} s is counted)` : ""
    return Effect.logWithLevel(level, `${text}${more}`)
  })

export const tellKeptBack = (
  { id, options: { warnEveryMs }, turnLines }: Reporting,
  { health }: PodState
): Effect.Effect<void> =>
  Effect.flatMap(Clock.currentTimeMillis, (nowMs) => {
    const keptBack = turnLines.take(nowMs, warnEveryMs)
    return keptBack === 0
      ? Effect.void
      : Effect.logWarning(`pod ${id} goes to and fro and is ${health} now; further changes meanwhile: ${keptBack}`)
  })

/** Logs a failed question, each kind of it rarely. */
export const warn = (pod: Reporting, state: PodState, { what, why }: PodProbeError): Effect.Effect<PodState> =>
  Effect.gen(function*() {
    const nowMs = yield* Clock.currentTimeMillis
    const warnedAtMs = state.warnedAtMs.get(what)
    if (warnedAtMs !== undefined && nowMs - warnedAtMs < pod.options.warnEveryMs) return state
    const pauseS = Math.round(pod.options.warnEveryMs / 1000)
    yield* Effect.logWarning(`pod ${pod.id}: ${what}: ${why} (the next such warning in ${pauseS} s at the earliest)`)
    return { ...state, warnedAtMs: new Map([...state.warnedAtMs, [what, nowMs]]) }
  })
