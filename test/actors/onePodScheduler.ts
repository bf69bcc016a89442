import type { SchedulerHandle } from "../../actors/SchedulerActor.ts"
import type { SchedulerActorOptions } from "../../actors/SchedulerActorOptions.ts"
import { podAddress } from "../../src/core/Pod.ts"
import type { SchedulerOptions } from "../../src/core/Scheduler.ts"
import { firstCandidate } from "../policies/fleet.ts"
import { constants } from "./schedulerInbox.ts"

/** The only pod of these schedulers; a prompt of 8,000 tokens takes it half a second. */
export const pod = podAddress("10.0.0.1", 8000, false)

/** Options of a scheduler's actor in real time that places each request at once and tells nobody. */
export const onePodOptions = (
  options: Partial<SchedulerActorOptions> = {},
  scheduler: Partial<SchedulerOptions> = {}
): SchedulerActorOptions => ({
  scheduler: {
    policy: { ...firstCandidate, isRevocable: true },
    podsMax: 4,
    openRequestsMax: 64,
    modelsMax: 4,
    prefixEntriesMax: 1024,
    initialOutputTokens: 10,
    random: () => 0.5,
    ...scheduler
  },
  mailboxCapacity: 64,
  askDeadlineMs: 5000,
  nowS: () => performance.now() / 1000,
  outputTokensByModel: {},
  onPick: () => {},
  onRefusal: () => {},
  onWaited: () => {},
  waiting: undefined,
  noticeWithinS: 1,
  ...options
})

/** The pod says which models it serves. */
export const tellModels = ({ ref }: SchedulerHandle, ...models: ReadonlyArray<string>): void =>
  void ref.unsafeTell({ _tag: "PodDescribed", id: pod.id, blockSizeTokens: 16, kvCapacityTokens: 1e6, models })

/** The pod joins, idle and serving the model `m`. */
export const joinPod = (scheduler: SchedulerHandle): void => {
  scheduler.ref.unsafeTell({ _tag: "PodJoined", address: pod, constants, restored: undefined })
  tellModels(scheduler, "m")
  const seen = { id: pod.id, accepting: true, running: 0, waiting: 0, kvUsage: 0 }
  scheduler.ref.unsafeTell({ _tag: "PodObserved", ...seen })
}
