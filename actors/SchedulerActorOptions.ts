import { type CallbackFailed, harmless } from "../src/core/harmless.ts"
import type { Refusal } from "../src/core/Placement.ts"
import type { SchedulerOptions } from "../src/core/Scheduler.ts"
import type { WaitRefusal } from "../src/core/waiting/AdmissionOptions.ts"
import type { ModelLookOptions } from "../src/core/waiting/ModelLooks.ts"
import type { ActorOptions } from "./runtime/Behavior.ts"
import type { Decision } from "./SchedulerPort.ts"
import type { SchedulerActorSettings } from "./SchedulerSettings.ts"

/** The settings of the start, and what never changes. */
export interface SchedulerActorOptions extends SchedulerActorSettings {
  readonly scheduler: SchedulerOptions
  /** Monotonic seconds. */
  readonly nowS: () => number
  readonly outputTokensByModel: Readonly<Record<string, number>>
  /** When requests for unknown models have the pods asked for theirs. Default: `modelLookDefaults`. */
  readonly modelLooks?: ModelLookOptions | undefined
  /** Called after each pick that placed a request, for metrics. */
  readonly onPick: (decision: Decision, tookMs: number) => void
  readonly onRefusal: (refusal: Refusal | WaitRefusal, policy: string) => void
  /** Called when a request that had to wait goes on, with the time it waited. */
  readonly onWaited: (priority: number, waitedS: number, outcome: "placed" | Refusal | WaitRefusal) => void
}

/** A placed request tells the scheduler at most its first token and its end. */
const FACTS_PER_REQUEST = 2
/** Facts of pods that find the ordinary room full: joined, described, observed or restarted, relabelled, recalibrated, left. */
const FACTS_PER_POD = 6

export const actorOptions = (options: SchedulerActorOptions): ActorOptions => ({
  name: "scheduler",
  mailboxCapacity: options.mailboxCapacity,
  reservedCapacity: reservedFor(options, options),
  restartsMax: 10,
  restartWindowMs: 10_000,
  backoffMinMs: 1,
  backoffMaxMs: 250
})

export const reservedFor = (
  settings: SchedulerActorSettings,
  { scheduler: { podsMax } }: SchedulerActorOptions
): number => FACTS_PER_REQUEST * settings.scheduler.openRequestsMax + FACTS_PER_POD * podsMax + cancelsMax(settings)

/** Each pick that is in the mailbox or waits may be cancelled once. */
const cancelsMax = ({ mailboxCapacity, waiting }: SchedulerActorSettings): number =>
  mailboxCapacity + (waiting?.requestsMax ?? 0)

/** What only hears of picks and breakers must not cost a request its answer, or a pod a reservation that nobody ends. */
export const withHarmlessEars = (options: SchedulerActorOptions, failed: CallbackFailed): SchedulerActorOptions => {
  const { onPick, onRefusal, onWaited } = options
  const { scheduler } = withHarmlessGuard(options, failed)
  return {
    ...options,
    ...harmless({ onPick, onRefusal, onWaited }, failed),
    scheduler: { ...options.scheduler, guard: scheduler.guard }
  }
}

export const withHarmlessGuard = (settings: SchedulerActorSettings, failed: CallbackFailed): SchedulerActorSettings => {
  const { guard } = settings.scheduler
  if (guard === undefined) return settings
  const { onChange } = guard
  return { ...settings, scheduler: { ...settings.scheduler, guard: { ...guard, ...harmless({ onChange }, failed) } } }
}
