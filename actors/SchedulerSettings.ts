import type { SchedulerSettings } from "../src/core/Scheduler.ts"
import type { AdmissionOptions } from "../src/core/waiting/AdmissionOptions.ts"
import { fleetRoomDefaults } from "../src/core/waiting/FleetRoom.ts"

/** What may change while the scheduler's actor runs. */
export interface SchedulerActorSettings {
  readonly scheduler: SchedulerSettings
  readonly mailboxCapacity: number
  readonly askDeadlineMs: number
  /** Requests wait while every pod would queue them; undefined: each is placed at once. */
  readonly waiting: WaitingOptions | undefined
  /** A pod that is back is noticed within this: when to come again after "no pod". */
  readonly noticeWithinS: number
}

export interface WaitingOptions extends AdmissionOptions, WaitTimes {}

/** How long requests may wait, by band. */
interface WaitTimes {
  /** No request waits longer. */
  readonly waitMaxS: number
  /** Of bands with another bound than that. */
  readonly bandWaitMaxS: ReadonlyMap<number, number>
}

export const waitMaxS = (times: WaitTimes | undefined, priority: number): number =>
  times?.bandWaitMaxS.get(priority) ?? times?.waitMaxS ?? 0

/** For a turn and, besides, for a pod. */
export const longestWaitS = (times: WaitingOptions | undefined): number =>
  times === undefined ? 0 : times.podlessS + Math.max(times.waitMaxS, ...times.bandWaitMaxS.values())

/** Of the scheduler itself. Where nobody waits any more, those who still do find room on any pod. */
export const coreSettings = ({ scheduler, waiting }: SchedulerActorSettings): SchedulerSettings => {
  if (waiting !== undefined) return scheduler
  const { giantTokens } = scheduler.room ?? fleetRoomDefaults
  return { ...scheduler, room: { ...boundless, giantTokens } }
}

const boundless = {
  queueMaxS: Infinity,
  kvShareMax: Infinity,
  kvShareModest: Infinity,
  kvShareAmple: Infinity,
  flushShareMax: Infinity
}
