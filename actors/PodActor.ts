import { Clock, Effect, LogLevel, type Scope } from "effect"
import { type EngineConstants, sameConstants } from "../src/core/EngineConstants.ts"
import type { PodAddress, PodId } from "../src/core/Pod.ts"
import type { PodRecord } from "../src/storage/SnapshotStore.ts"
import type { PodMetrics } from "../src/vllm/MetricsText.ts"
import type { PodProbe, PodProbeError } from "../src/vllm/PodProbe.ts"
import type { AwayPods } from "./AwayPods.ts"
import type { PodActorOptions } from "./PodActorOptions.ts"
import { type Inspected, inspection, type ProbeFact } from "./PodFacts.ts"
import { describe, join, logTurn, observe, tellKeptBack, tellSurely, warn } from "./podReports.ts"
import {
  cacheLoss,
  initialPodState,
  type PodProcess,
  podProcess,
  podSigns,
  type PodState,
  podStatus
} from "./PodState.ts"
import { fallIll, judgeSilence, silenceOf } from "./podVerdicts.ts"
import type { PodSigns, PodStatus } from "./PoolView.ts"
import { type ActorRef, spawn } from "./runtime/Actor.ts"
import type { SchedulerMessage } from "./SchedulerMessages.ts"
import { scrapeForever } from "./scrapeForever.ts"
import { TurnLines } from "./TurnLines.ts"

/** A request that we sent there got no answer, half of one, or that the pod is broken. From the front ends. */
interface DispatchFailed {
  readonly _tag: "DispatchFailed"
  readonly why: string
}
/** Bytes of answers to requests came, though it did not answer the last question. From the front. */
interface RequestsAnswered {
  readonly _tag: "RequestsAnswered"
}
/** A request names a model that no pod is known to serve. From the supervisor, at the scheduler's wish. */
interface ModelsWanted {
  readonly _tag: "ModelsWanted"
}
/** Takes no new requests from now on; `onIdle` runs once the pod has nothing left to do. From the supervisor. */
interface Drain {
  readonly _tag: "Drain"
}
/** It is wanted after all. From the supervisor. */
interface Undrain {
  readonly _tag: "Undrain"
}
/** The operator changed how pods are watched, or how fast this one is. From the supervisor. */
interface PodSettingsReplaced {
  readonly _tag: "PodSettingsReplaced"
  readonly constants: EngineConstants
  readonly options: PodActorOptions
}
/** Facts from the actor's own children: Scraped, ScrapeFailed, Inspected. */
export type PodMessage =
  | DispatchFailed
  | RequestsAnswered
  | ModelsWanted
  | Drain
  | Undrain
  | PodSettingsReplaced
  | ProbeFact

export interface PodActorArgs {
  readonly address: PodAddress
  readonly constants: EngineConstants
  readonly probe: PodProbe
  readonly scheduler: ActorRef<SchedulerMessage>
  /** What the snapshot kept of this pod. */
  readonly restored: PodRecord | undefined
  readonly onIdle: Effect.Effect<void>
  /** Of its pool. */
  readonly away: AwayPods
  readonly options: PodActorOptions
}

export interface PodHandle {
  readonly ref: ActorRef<PodMessage>
  readonly status: () => PodStatus
  readonly signs: () => PodSigns
  readonly process: () => PodProcess
  /** Tells the scheduler that the pod is gone, unless it has been told: by the end of the scope it is. */
  readonly leave: () => void
}

/** At most one inspection, one drain and one undrain wait at a time; the rest is slack for a crash between them. */
const RESERVED = 8

/** Of turns of a pod's health, in `warnEveryMs`: it went, it came back, and once more. */
const TURN_LINES_MAX = 4

/** A request may be on its way while one scrape shows nothing. */
const IDLE_SCRAPES = 2

/**
 * Starts the actor of one pod in the scope: it watches the pod and tells the scheduler what it sees, from PodJoined
 * at the start to PodLeft at the stop.
 */
export const makePodActor = (args: PodActorArgs): Effect.Effect<PodHandle, never, Scope.Scope> =>
  Effect.gen(function*() {
    const start = initialPodState(args.restored?.lastState.processStartS)
    const pod: Pod = {
      ...args,
      id: args.address.id,
      scope: yield* Effect.scope,
      scrapeNow: yield* Effect.makeLatch(false),
      turnLines: new TurnLines(TURN_LINES_MAX),
      hasLeft: false,
      published: start,
      self: undefined
    }
    const publish = (state: PodState): PodState => {
      pod.published = state
      return state
    }
    // Run once the actor has ended, in whatever way: one that gave up can't say it itself.
    yield* Effect.addFinalizer(() => Effect.sync(() => leave(pod)))
    const ref = yield* spawn<PodState, PodMessage, never>(
      {
        init: Effect.sync(() => {
          join(pod)
          return start
        }),
        receive: (state, message) => Effect.map(receive(pod, state, message), publish),
        // The crash may have swallowed the result of an inspection.
        recover: (lastGood) => Effect.succeed({ ...lastGood, inspecting: false, inspectAgain: false })
      },
      { ...args.options, name: `pod ${pod.id}`, reservedCapacity: RESERVED }
    )
    pod.self = ref
    yield* Effect.forkScoped(Effect.interruptible(scrapeForever(pod, ref.tell)))
    return {
      ref,
      status: () => podStatus(args.address, pod.published),
      signs: () => podSigns(pod.published),
      process: () => podProcess(pod.published),
      leave: () => leave(pod)
    }
  }).pipe(Effect.annotateLogs("pod", args.address.id))

const leave = (pod: Pod): void => {
  if (pod.hasLeft) return
  pod.hasLeft = true
  tellSurely(pod, { _tag: "PodLeft", id: pod.id })
}

/** What the functions below share; `published` and `self` are written by `makePodActor` alone. */
interface Pod extends PodActorArgs {
  constants: EngineConstants
  options: PodActorOptions
  readonly id: PodId
  readonly scope: Scope.Scope
  readonly scrapeNow: Effect.Latch
  readonly turnLines: TurnLines
  hasLeft: boolean
  published: PodState
  self: ActorRef<PodMessage> | undefined
}

const receive = (pod: Pod, state: PodState, message: PodMessage): Effect.Effect<PodState> => {
  switch (message._tag) {
    case "DispatchFailed":
      return afterDispatchFailure(pod, state, message)
    case "RequestsAnswered":
      return Effect.map(Clock.currentTimeMillis, (answeredAtMs) => ({ ...state, answeredAtMs }))
    case "ModelsWanted":
      return inspect(pod, state)
    case "Drain":
      return Effect.succeed(observe(pod, { ...state, draining: true, idleScrapes: 0 }))
    case "Undrain":
      return Effect.succeed(observe(pod, { ...state, draining: false }))
    case "PodSettingsReplaced":
      return Effect.sync(() => replaceSettings(pod, state, message))
    case "Scraped":
      return Effect.tap(afterScrape(pod, state, message.metrics), (next) => tellKeptBack(pod, next))
    case "ScrapeFailed":
      return Effect.tap(afterScrapeFailure(pod, state, message.error), (next) => tellKeptBack(pod, next))
    case "Inspected":
      return afterInspection(pod, state, message)
    default:
      return message satisfies never
  }
}

const replaceSettings = (pod: Pod, state: PodState, { constants, options }: PodSettingsReplaced): PodState => {
  pod.options = options
  if (sameConstants(constants, pod.constants)) return state
  pod.constants = constants
  tellSurely(pod, { _tag: "PodRecalibrated", id: pod.id, constants })
  return describe(pod, state)
}

const afterDispatchFailure = (pod: Pod, state: PodState, { why }: DispatchFailed): Effect.Effect<PodState> =>
  Effect.gen(function*() {
    const dispatchFailures = state.dispatchFailures + 1
    const next = { ...state, dispatchFailures, dispatchFailure: why }
    if (state.health !== "healthy" || dispatchFailures % pod.options.unhealthyAfterDispatches !== 0) return next
    yield* pod.scrapeNow.open
    return yield* inspect(pod, next)
  })

const afterScrape = (pod: Pod, state: PodState, metrics: PodMetrics): Effect.Effect<PodState> =>
  Effect.gen(function*() {
    const loss = cacheLoss(state, metrics, pod.restored !== undefined)
    if (loss !== undefined) {
      yield* logTurn(pod, LogLevel.Info, `pod ${pod.id} lost its KV cache: ${loss}`)
      tellSurely(pod, { _tag: "PodRestarted", id: pod.id })
    }
    const idle = metrics.running === 0 && metrics.waiting === 0
    const next: PodState = {
      ...state,
      metrics,
      processStartS: metrics.processStartS ?? state.processStartS,
      scrapeFailures: 0,
      dispatchFailures: 0,
      idleScrapes: idle ? state.idleScrapes + 1 : 0,
      scrapesSinceInspection: state.scrapesSinceInspection + 1,
      silence: undefined,
      isStrained: false,
      // One that said itself that it can't work may still show its metrics.
      timesWell: state.timesWell + (state.health === "unhealthy" ? 0 : 1)
    }
    if (next.draining && next.idleScrapes === IDLE_SCRAPES) yield* pod.onIdle
    const due = next.health !== "healthy" || loss !== undefined ||
      next.scrapesSinceInspection >= pod.options.modelsEveryScrapes
    const seen = observe(pod, describe(pod, next), true)
    return due ? yield* inspect(pod, { ...seen, inspectAgain: seen.inspecting }) : seen
  })

const afterScrapeFailure = (pod: Pod, state: PodState, error: PodProbeError): Effect.Effect<PodState> =>
  Effect.gen(function*() {
    // The line that said it is unhealthy said why; a hundred dead pods would repeat it a hundred times a minute.
    const warned = state.health === "unhealthy" ? state : yield* warn(pod, state, error)
    const next = { ...warned, scrapeFailures: state.scrapeFailures + 1, idleScrapes: 0 }
    if (next.health === "unhealthy" && error.isRefused === true) {
      return { ...next, reason: silenceOf(pod, next, error.message) }
    }
    const doubtful = next.health !== "healthy" || next.scrapeFailures >= pod.options.unhealthyAfterScrapes - 1
    return yield* judgeSilence(pod, doubtful ? yield* inspect(pod, next) : next)
  })

const afterInspection = (pod: Pod, state: PodState, seen: Inspected): Effect.Effect<PodState> =>
  Effect.gen(function*() {
    const warned = seen.life === "alive" && seen.problem !== undefined ? yield* warn(pod, state, seen.problem) : state
    const next: PodState = {
      ...warned,
      inspecting: false,
      inspectAgain: false,
      scrapesSinceInspection: 0,
      models: seen.models ?? state.models,
      version: seen.version ?? state.version
    }
    const why = seen.problem?.message ?? "it did not say why"
    if (seen.life === "alive") return yield* afterGoodInspection(pod, next, why)
    if (seen.life === "dead") return yield* fallIll(pod, next, why)
    if (state.inspectAgain) return yield* inspect(pod, { ...next, reason: why })
    return yield* judgeSilence(pod, { ...next, reason: why, silence: { why, isLate: seen.problem?.isLate === true } })
  })

const afterGoodInspection = (pod: Pod, state: PodState, why: string): Effect.Effect<PodState> =>
  Effect.gen(function*() {
    const well = { ...state, silence: undefined, isStrained: false, timesWell: state.timesWell + 1 }
    const described = describe(pod, well)
    if (described.models === undefined) return { ...described, reason: why }
    if (described.health === "healthy") return observe(pod, described)
    const models = described.models.map((card) => card.id).join(", ")
    yield* logTurn(pod, LogLevel.Info, `pod ${pod.id} is healthy and serves ${models === "" ? "no model" : models}`)
    return observe(pod, { ...described, health: "healthy", reason: undefined, dispatchFailures: 0 })
  })

/** Starts a child that asks for health, models and version, unless one is at it. */
const inspect = (pod: Pod, state: PodState): Effect.Effect<PodState> => {
  if (state.inspecting) return Effect.succeed(state)
  return inspection(pod).pipe(
    Effect.map((fact) => pod.self?.unsafeTellReserved(fact)),
    Effect.forkIn(pod.scope),
    Effect.as({ ...state, inspecting: true })
  )
}
