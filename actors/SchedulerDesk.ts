import type { RequestFeatures } from "../src/core/RequestFeatures.ts"
import type { Scheduler } from "../src/core/Scheduler.ts"
import type { Admission } from "../src/core/waiting/Admission.ts"
import type { ModelLooks } from "../src/core/waiting/ModelLooks.ts"
import type { WaitingTerms } from "../src/core/waiting/Waiting.ts"
import type { AwaitedExplanations } from "./AwaitedExplanations.ts"
import type { SchedulerActorOptions } from "./SchedulerActorOptions.ts"
import type { PickPod } from "./SchedulerMessages.ts"
import { type SchedulerActorSettings, waitMaxS } from "./SchedulerSettings.ts"

/** What the actor works with. Its state survives crashes as it is. */
export interface Desk {
  readonly options: SchedulerActorOptions
  settings: SchedulerActorSettings
  readonly scheduler: Scheduler
  readonly admission: Admission<PickPod>
  /** When clients give up that said so: a retry has what is left of it. */
  readonly clientDeadlinesS: WeakMap<RequestFeatures, number>
  readonly modelLooks: ModelLooks
  readonly explanations: AwaitedExplanations
  askForModels: () => void
}

/** How long the request may wait, in which band, and for whom. */
export const termsOf = (desk: Desk, request: RequestFeatures, nowS: number): WaitingTerms => {
  const { wish } = request
  const priority = wish?.priority ?? 0
  const clientDeadlineS = clientDeadlineOf(desk, request, nowS)
  return {
    priority,
    flow: wish?.flow ?? "",
    bytes: wish?.bytes ?? 0,
    deadlineS: Math.min(nowS + waitMaxS(desk.settings.waiting, priority), clientDeadlineS ?? Number.POSITIVE_INFINITY),
    clientDeadlineS,
    podlessMaxS: desk.settings.waiting?.podlessS
  }
}

const clientDeadlineOf = (
  { clientDeadlinesS }: Desk,
  request: RequestFeatures,
  nowS: number
): number | undefined => {
  const forS = request.wish?.waitMaxS
  if (forS === undefined) return undefined
  const knownS = clientDeadlinesS.get(request)
  if (knownS !== undefined) return knownS
  clientDeadlinesS.set(request, nowS + forS)
  return nowS + forS
}
