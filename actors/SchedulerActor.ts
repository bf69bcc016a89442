import { Effect } from "effect"
import type { Scope } from "effect"
import type { PickExplanation } from "../src/core/Explanation.ts"
import type { PodId } from "../src/core/Pod.ts"
import type { RequestFeatures } from "../src/core/RequestFeatures.ts"
import { type Placement, type Refusal, Scheduler, type SchedulerOptions } from "../src/core/Scheduler.ts"
import { type GatewayError, InternalError, NoPodAvailable, Overloaded, TimedOut, UnknownModel } from "../src/errors.ts"
import { type ActorOptions, type ActorRef, type Behavior, spawn } from "./runtime/Actor.ts"
import { ActorCrashed, ActorStopped, AskTimedOut, MailboxFull } from "./runtime/errors.ts"
import type { PickPod, PodJoined, SchedulerMessage, SketchExport } from "./SchedulerMessages.ts"
import type { Decision, SchedulerPort } from "./SchedulerPort.ts"

export interface SchedulerActorOptions {
  readonly scheduler: SchedulerOptions
  readonly mailboxCapacity: number
  readonly askDeadlineMs: number
  /** Monotonic seconds. */
  readonly nowS: () => number
  readonly outputTokensByModel: Readonly<Record<string, number>>
  /** Called after each pick that placed a request, for metrics. */
  readonly onPick: (decision: Decision, tookMs: number) => void
  readonly onRefusal: (refusal: Refusal, policy: string) => void
  /** A pod that is back is noticed within this: when to come again after "no pod". */
  readonly noticeWithinS: number
}

/** A placed request tells the scheduler at most its first token and its end. */
const FACTS_PER_REQUEST = 2
/** Facts of pods that find the ordinary room full: joined, described, observed or restarted, relabelled, recalibrated, left. */
const FACTS_PER_POD = 6

/** What the actor's owner holds: the ref to tell, the port for front ends, and numbers for /metrics. */
export interface SchedulerHandle {
  readonly ref: ActorRef<SchedulerMessage>
  readonly pick: SchedulerPort["pick"]
  /** What `pick` would do now and why. Reserves nothing; rejects as `pick` does when the actor does not answer. */
  readonly explain: (request: RequestFeatures) => Promise<PickExplanation>
  readonly firstToken: SchedulerPort["firstToken"]
  readonly end: SchedulerPort["end"]
  readonly podFailed: SchedulerPort["podFailed"]
  /** The live scheduler, to be read only. */
  readonly view: Scheduler
}

/**
 * Starts the pool's scheduler actor: sole writer of the pod table, the reservations and the sketches.
 * After a crash it goes on with the same tables; spending the restart budget fails `ref.join`.
 */
export const makeSchedulerActor = (
  options: SchedulerActorOptions
): Effect.Effect<SchedulerHandle, never, Scope.Scope> =>
  Effect.gen(function*() {
    const scheduler = new Scheduler(options.scheduler)
    scheduler.outputLengths.restore(options.outputTokensByModel)
    const behavior: Behavior<Scheduler, SchedulerMessage> = {
      init: Effect.succeed(scheduler),
      receive: (state, message) => receive(state, message, options)
    }
    const ref = yield* spawn(behavior, actorOptions(options))
    return {
      ref,
      view: scheduler,
      pick: (request, excluded = []) =>
        ref.unsafeAsk<Decision, GatewayError>(
          (reply) => ({ _tag: "PickPod", request, excluded, reply }),
          options.askDeadlineMs
        )
          .catch((error: unknown) => Promise.reject(toGatewayError(error, options.askDeadlineMs))),
      explain: (request) =>
        ref.unsafeAsk<PickExplanation, never>(
          (reply) => ({ _tag: "ExplainPick", request, reply }),
          options.askDeadlineMs
        )
          .catch((error: unknown) => Promise.reject(toGatewayError(error, options.askDeadlineMs))),
      firstToken: (reservation) => void ref.unsafeTellReserved({ _tag: "FirstTokenSeen", reservation }),
      end: (reservation, end) => void ref.unsafeTellReserved({ _tag: "RequestEnded", reservation, end }),
      // One of many; where there is no room for it there are more to come.
      podFailed: (id, failure) => void ref.unsafeTell({ _tag: "PodFailed", id, failure })
    }
  })

const actorOptions = (options: SchedulerActorOptions): ActorOptions => ({
  name: "scheduler",
  mailboxCapacity: options.mailboxCapacity,
  reservedCapacity: FACTS_PER_REQUEST * options.scheduler.openRequestsMax + FACTS_PER_POD * options.scheduler.podsMax,
  restartsMax: 10,
  restartWindowMs: 10_000,
  backoffMinMs: 1,
  backoffMaxMs: 250
})

const receive = (
  scheduler: Scheduler,
  message: SchedulerMessage,
  options: SchedulerActorOptions
): Scheduler | Effect.Effect<Scheduler> => {
  const nowS = options.nowS()
  switch (message._tag) {
    case "PickPod":
      answerPick(scheduler, message, nowS, options)
      return scheduler
    case "ExplainPick":
      message.reply.succeed(scheduler.explain(message.request, nowS))
      return scheduler
    case "FirstTokenSeen":
      scheduler.firstToken(message.reservation, nowS)
      return scheduler
    case "RequestEnded":
      scheduler.end(message.reservation, message.end, nowS)
      return scheduler
    case "PodFailed": {
      const { id, failure: { reservation, sure, why } } = message
      scheduler.podFailed(id, reservation, sure, why, nowS)
      return scheduler
    }
    case "PodJoined":
      return join(scheduler, message)
    case "PodDescribed":
      scheduler.describe(message.id, message.blockSizeTokens, message.kvCapacityTokens, message.models)
      return scheduler
    case "PodObserved":
      scheduler.observe(message.id, message.accepting, message.running, message.waiting, message.kvUsage, nowS)
      return scheduler
    case "PodRestarted":
      scheduler.restarted(message.id)
      return scheduler
    case "PodLeft":
      scheduler.leave(message.id)
      return scheduler
    case "PodRecalibrated":
      scheduler.recalibrate(message.id, message.constants)
      return scheduler
    case "PolicyReplaced":
      scheduler.replacePolicy(message.policy)
      return scheduler
    case "ExportSketches":
      message.reply.succeed(message.ids.flatMap((id) => exportSketch(scheduler, id)))
      return scheduler
    case "ExportOutputLengths":
      message.reply.succeed(scheduler.outputLengths.export())
      return scheduler
    default:
      return message satisfies never
  }
}

const answerPick = (scheduler: Scheduler, message: PickPod, nowS: number, options: SchedulerActorOptions): void => {
  // A pick that nobody waits for would hold a reservation that nobody gives back.
  if (message.reply.abandoned()) return
  const placed = scheduler.pick(message.request, message.excluded, nowS)
  if (typeof placed === "string") {
    options.onRefusal(placed, scheduler.policyType)
    const retryAfterS = scheduler.guard.retryInS(nowS) ?? options.noticeWithinS
    message.reply.fail(refusalError(placed, message.request.model, retryAfterS, options.scheduler.openRequestsMax))
    return
  }
  const decision = decisionOf(placed, scheduler.policyType)
  options.onPick(decision, (options.nowS() - nowS) * 1000)
  message.reply.succeed(decision)
}

const decisionOf = (placement: Placement, policy: string): Decision => ({ ...placement, policy })

const join = (scheduler: Scheduler, message: PodJoined): Effect.Effect<Scheduler> | Scheduler => {
  const { address, constants, restored } = message
  if (!scheduler.join(address, constants)) {
    return Effect.logWarning(`pod ${address.id} is left out: the pod table is full (limits.podsMax)`).pipe(
      Effect.as(scheduler)
    )
  }
  const refused = restored === undefined ? undefined : scheduler.restoreSketch(address.id, restored)
  return refused === undefined
    ? scheduler
    : Effect.logWarning(`pod ${address.id} starts cold: its saved sketch is unusable (${refused})`).pipe(
      Effect.as(scheduler)
    )
}

const exportSketch = (scheduler: Scheduler, id: PodId): ReadonlyArray<SketchExport> => {
  const sketch = scheduler.exportSketch(id)
  return sketch === undefined ? [] : [{ id, ...sketch }]
}

const refusalError = (
  refusal: Refusal,
  model: string,
  retryAfterS: number,
  openRequestsMax: number
): GatewayError => {
  switch (refusal) {
    case "unknown-model":
      return new UnknownModel({ message: `The model \`${model}\` does not exist.`, param: "model" })
    case "no-pod":
      return new NoPodAvailable({
        message: model === ""
          ? "No healthy pod is available."
          : `No healthy pod serves the model \`${model}\` at present.`,
        retryAfterS
      })
    case "too-many-open":
      return new Overloaded({
        message: `The gateway has ${openRequestsMax} requests open, which is its limit (limits.openRequestsMax).`,
        retryAfterS: 1
      })
    case "filtered":
      return new Overloaded({ message: "Every pod was refused by the policy's filters.", retryAfterS: 1 })
    default:
      return refusal satisfies never
  }
}

const toGatewayError = (error: unknown, askDeadlineMs: number): unknown => {
  if (error instanceof MailboxFull) {
    return new Overloaded({ message: "The scheduler's mailbox is full (limits.mailboxCapacity).", retryAfterS: 1 })
  }
  if (error instanceof AskTimedOut) {
    return new TimedOut("scheduler", `The scheduler did not answer within ${askDeadlineMs} ms (limits.askDeadline).`)
  }
  if (error instanceof ActorCrashed) {
    return new InternalError({ message: "The scheduler failed on this request; it has restarted." })
  }
  if (error instanceof ActorStopped) return new NoPodAvailable({ message: "The gateway is shutting down." })
  return error
}
