import { Effect, Runtime, type Scope } from "effect"
import type { PickExplanation } from "../src/core/Explanation.ts"
import { type CallbackFailed, callbackFailedText } from "../src/core/harmless.ts"
import type { RequestFeatures } from "../src/core/RequestFeatures.ts"
import type { Placement, Refusal } from "../src/core/Placement.ts"
import { Scheduler } from "../src/core/Scheduler.ts"
import { Admission } from "../src/core/waiting/Admission.ts"
import { admissionDefaults, type WaitRefusal } from "../src/core/waiting/AdmissionOptions.ts"
import { modelLookDefaults, ModelLooks } from "../src/core/waiting/ModelLooks.ts"
import type { Waiting } from "../src/core/waiting/Waiting.ts"
import type { WaitingRoom } from "../src/core/waiting/WaitingRoom.ts"
import type { GatewayError } from "../src/errors.ts"
import { AwaitedExplanations } from "./AwaitedExplanations.ts"
import { backAgain, exportSketch, takeFact } from "./fleetFacts.ts"
import { type ActorRef, spawn } from "./runtime/Actor.ts"
import type { Behavior } from "./runtime/Behavior.ts"
import type { ActorCrashed } from "./runtime/errors.ts"
import { tellPatiently } from "./runtime/tellPatiently.ts"
import { type Desk, termsOf } from "./SchedulerDesk.ts"
import {
  actorOptions,
  reservedFor,
  type SchedulerActorOptions,
  withHarmlessEars,
  withHarmlessGuard
} from "./SchedulerActorOptions.ts"
import type { ExplainPick, PickPod, SchedulerMessage } from "./SchedulerMessages.ts"
import type { Decision, SchedulerPort } from "./SchedulerPort.ts"
import { refusalError, toGatewayError } from "./schedulerRefusals.ts"
import { coreSettings, longestWaitS, type SchedulerActorSettings } from "./SchedulerSettings.ts"

/** What the actor's owner holds: the ref to tell, the port for front ends, and numbers for /metrics. */
export interface SchedulerHandle {
  readonly ref: ActorRef<SchedulerMessage>
  readonly pick: SchedulerPort["pick"]
  readonly cancel: SchedulerPort["cancel"]
  /** What `pick` would do now and why. Reserves nothing; rejects as `pick` does when the actor does not answer. */
  readonly explain: (request: RequestFeatures) => Promise<PickExplanation>
  readonly retryAfterS: SchedulerPort["retryAfterS"]
  readonly firstToken: SchedulerPort["firstToken"]
  readonly end: SchedulerPort["end"]
  readonly podFailed: SchedulerPort["podFailed"]
  /** The live scheduler, to be read only. */
  readonly view: Scheduler
  /** Requests that wait for room, to be read only. */
  readonly room: WaitingRoom<unknown>
  /** Open requests, requests that wait and breakers stay as they are, beyond smaller bounds too. */
  readonly replaceSettings: (settings: SchedulerActorSettings) => Effect.Effect<void>
}

/**
 * Starts the pool's scheduler actor: sole writer of the pod table, the reservations and the sketches.
 * After a crash it goes on with the same tables; spending the restart budget fails `ref.join`.
 */
export const makeSchedulerActor = (
  options: SchedulerActorOptions
): Effect.Effect<SchedulerHandle, never, Scope.Scope> =>
  Effect.gen(function*() {
    const run = Runtime.runFork(yield* Effect.runtime())
    const callbackFailed: CallbackFailed = (name, times, cause) =>
      void run(Effect.logError(callbackFailedText(name, times), cause))
    const desk = makeDesk(withHarmlessEars(options, callbackFailed))
    const { admission, scheduler } = desk
    const askDeadlineMs = () => desk.settings.askDeadlineMs
    const told = (error: unknown) => toGatewayError(error, askDeadlineMs(), admission.retryAfterS())
    let reservedMax = reservedFor(options, options)
    const behavior: Behavior<Desk, SchedulerMessage> = {
      init: Effect.succeed(desk),
      receive
    }
    const ref = yield* spawn(behavior, actorOptions(options))
    yield* Effect.forkScoped(tick(ref, () => admission.room.count > 0 || desk.explanations.count > 0))
    return {
      ref,
      view: scheduler,
      room: admission.room,
      replaceSettings: (settings) =>
        Effect.suspend(() => {
          // What came under larger bounds may still have its facts to tell.
          reservedMax = Math.max(reservedMax, reservedFor(settings, options))
          ref.resize(settings.mailboxCapacity, reservedMax)
          return tellPatiently(ref, { _tag: "SettingsReplaced", settings: withHarmlessGuard(settings, callbackFailed) })
        }),
      pick: (request, excluded = []) =>
        ref.unsafeAsk<Decision, GatewayError>(
          (reply) => ({ _tag: "PickPod", request, excluded, reply }),
          askDeadlineMs() + 1000 * longestWaitS(desk.settings.waiting)
        )
          .catch((error: unknown) => Promise.reject(told(error))),
      retryAfterS: () => admission.retryAfterS(),
      cancel: (request) => void ref.unsafeTellReserved({ _tag: "PickCancelled", request }),
      explain: (request) =>
        ref.unsafeAsk<PickExplanation, ActorCrashed>(
          (reply) => ({ _tag: "ExplainPick", request, reply }),
          askDeadlineMs() + 1000 * (options.modelLooks ?? modelLookDefaults).waitS
        )
          .catch((error: unknown) => Promise.reject(told(error))),
      firstToken: (reservation) => void ref.unsafeTellReserved({ _tag: "FirstTokenSeen", reservation }),
      end: (reservation, end) => void ref.unsafeTellReserved({ _tag: "RequestEnded", reservation, end }),
      // One of many; where there is no room for it there are more to come.
      podFailed: (id, failure) => void ref.unsafeTell({ _tag: "PodFailed", id, failure })
    }
  })

/** How often requests that wait are looked after when nothing else happens. */
const WAITING_TICK_MS = 50

const tick = (ref: ActorRef<SchedulerMessage>, isWaitedFor: () => boolean): Effect.Effect<never> =>
  Effect.forever(Effect.zipRight(
    Effect.sleep(WAITING_TICK_MS),
    Effect.sync(() => {
      if (isWaitedFor()) ref.unsafeTell({ _tag: "WaitingTick" })
    })
  ))

const makeDesk = (options: SchedulerActorOptions): Desk => {
  const scheduler = new Scheduler({ ...options.scheduler, ...coreSettings(options) })
  scheduler.outputLengths.restore(options.outputTokensByModel)
  const admission = new Admission<PickPod>(
    scheduler,
    options.waiting ?? admissionDefaults,
    (entry, outcome) => goOn(desk, entry, outcome),
    ({ reply }) => reply.abandoned()
  )
  const desk: Desk = {
    options,
    settings: options,
    scheduler,
    admission,
    clientDeadlinesS: new WeakMap(),
    modelLooks: new ModelLooks(options.modelLooks ?? modelLookDefaults),
    explanations: new AwaitedExplanations(),
    askForModels: () => {}
  }
  return desk
}

const replaceSettings = (desk: Desk, settings: SchedulerActorSettings, nowS: number): void => {
  desk.settings = settings
  desk.scheduler.replaceSettings(coreSettings(settings))
  desk.admission.replaceOptions(settings.waiting ?? admissionDefaults)
  // There may be more room now.
  desk.admission.settle(nowS)
}

/** A request that waited was placed or refused. */
const goOn = (desk: Desk, entry: Waiting<PickPod>, outcome: Placement | Refusal | WaitRefusal): void => {
  const { options } = desk
  const nowS = options.nowS()
  const word = typeof outcome === "string" ? outcome : "placed"
  options.onWaited(entry.terms.priority, nowS - entry.arrivedS, word)
  answer(desk, entry.ticket, outcome, nowS)
}

const receive = (desk: Desk, message: SchedulerMessage): Desk | Effect.Effect<Desk> => {
  const { admission, options, scheduler } = desk
  const nowS = options.nowS()
  switch (message._tag) {
    case "PickPod":
      answerPick(desk, message, nowS)
      return desk
    case "PickCancelled":
      admission.cancel(message.request)
      return desk
    case "WaitingTick":
      admission.settle(nowS)
      explainAwaited(desk, nowS)
      return desk
    case "SettingsReplaced":
      replaceSettings(desk, message.settings, nowS)
      return desk
    case "PoolStarted":
      desk.askForModels = message.askForModels
      return desk
    case "ExplainPick":
      explain(desk, message, nowS)
      return desk
    case "FirstTokenSeen":
      scheduler.firstToken(message.reservation, nowS)
      admission.settle(nowS)
      return desk
    case "RequestEnded":
      scheduler.end(message.reservation, message.end, nowS)
      admission.settle(nowS)
      return desk
    case "ExportSketches":
      message.reply.succeed(message.ids.flatMap((id) => exportSketch(scheduler, id)))
      return desk
    case "ExportOutputLengths":
      message.reply.succeed(scheduler.outputLengths.export())
      return desk
    default: {
      const before = scheduler.arrivals
      const warning = takeFact(scheduler, message, nowS)
      if (scheduler.arrivals !== before) admission.podCame(backAgain(message), nowS)
      explainAwaited(desk, nowS)
      return warning === undefined ? desk : Effect.as(Effect.logWarning(warning), desk)
    }
  }
}

/** Waits for a look at the pods' models where a request would, so that it is told what the request would be told. */
const explain = (desk: Desk, question: ExplainPick, nowS: number): void => {
  const { explanations, modelLooks, settings: { waiting } } = desk
  if (isKnown(desk, question, nowS)) return explainNow(desk, question, nowS)
  if (modelLooks.begin(nowS)) desk.askForModels()
  const untilS = waiting === undefined || waiting.podlessS === 0 ? undefined : modelLooks.join(nowS)
  if (untilS === undefined) explainNow(desk, question, nowS)
  else explanations.add(question, untilS)
}

const explainAwaited = (desk: Desk, nowS: number): void => {
  const { explanations } = desk
  if (explanations.count === 0) return
  explanations.answerDue(
    nowS,
    (question) => isKnown(desk, question, nowS),
    (question) => explainNow(desk, question, nowS)
  )
}

const isKnown = ({ scheduler }: Desk, { request }: ExplainPick, nowS: number): boolean =>
  scheduler.outlook(request, [], nowS) !== "unknown-model"

const explainNow = (desk: Desk, { reply, request }: ExplainPick, nowS: number): void => {
  const { admission, scheduler, settings } = desk
  reply.succeed({
    ...scheduler.explain(request, nowS),
    waits: settings.waiting && admission.whyWait(request, termsOf(desk, request, nowS), nowS)
  })
}

const answerPick = (desk: Desk, message: PickPod, nowS: number): void => {
  const { admission, scheduler, settings } = desk
  // A pick that nobody waits for would hold a reservation that nobody gives back.
  if (message.reply.abandoned()) return
  const { excluded, request } = message
  // Read where nobody waits too: after a reload a retry of it may.
  const terms = termsOf(desk, request, nowS)
  const outcome = settings.waiting === undefined
    ? scheduler.pick(request, excluded, nowS)
    : admission.submit(request, excluded, terms, message, nowS)
  const told = outcome === "unknown-model" ? lookForModel(desk, message, nowS) : outcome
  if (told !== "waiting") answer(desk, message, told, nowS)
}

/** No pod is known to serve the model, but one may have loaded it since the pods were asked last. */
const lookForModel = (desk: Desk, message: PickPod, nowS: number): "unknown-model" | "waiting" => {
  const { admission, modelLooks, settings } = desk
  const { excluded, request } = message
  if (modelLooks.begin(nowS)) desk.askForModels()
  const untilS = settings.waiting === undefined ? undefined : modelLooks.join(nowS)
  if (untilS === undefined) return "unknown-model"
  return admission.waitForModel(request, excluded, termsOf(desk, request, nowS), message, untilS, nowS)
}

const answer = (
  { admission, options, scheduler, settings }: Desk,
  { reply, request }: PickPod,
  outcome: Placement | Refusal | WaitRefusal,
  nowS: number
): void => {
  if (typeof outcome === "string") {
    if (outcome !== "client-left") options.onRefusal(outcome, scheduler.policyType)
    const retryAfterS = {
      pod: scheduler.guard.retryInS(nowS) ?? settings.noticeWithinS,
      queue: admission.retryAfterS()
    }
    reply.fail(refusalError(outcome, request.model, retryAfterS, settings.scheduler.openRequestsMax))
    return
  }
  const decision = decisionOf(outcome, scheduler.policyType)
  options.onPick(decision, (options.nowS() - nowS) * 1000)
  reply.succeed(decision)
}

const decisionOf = (placement: Placement, policy: string): Decision => ({ ...placement, policy })
