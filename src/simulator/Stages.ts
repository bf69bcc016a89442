import type { PlannedRequest, Stage, Workload } from "./Workload.ts"

/** Has the request of this number arrive at `atS`. `fromStage`: it does not follow the answer to another. */
type Schedule = (atS: number, number: number, fromStage: boolean) => void

/** The stages of a workload, one after another, and what was drawn from them and has not arrived yet. */
export class Stages {
  /** Number of the stage that runs, from 0 on. */
  index = -1
  private readonly workload: Workload
  private readonly schedule: Schedule
  /** By the number of the request. */
  private readonly planned = new Map<number, PlannedRequest>()
  private numbers = 0
  private stage: Stage | undefined
  private startS = 0

  constructor(workload: Workload, schedule: Schedule) {
    this.workload = workload
    this.schedule = schedule
  }

  /** False before the first stage and after the last. */
  get isRunning(): boolean {
    return this.stage !== undefined
  }

  /** Whether a request was drawn that has not arrived. */
  get hasPlans(): boolean {
    return this.planned.size > 0
  }

  /** The next stage begins, after the pause that the workload has between two; true when there is one. */
  startNext(nowS: number): boolean {
    this.index++
    this.stage = this.workload.stages[this.index]?.()
    this.startS = this.index === 0 ? 0 : nowS + this.workload.pauseS
    return this.isRunning
  }

  /** Draws the next request of the stage, to be called only when the one before it arrives; false when there is none. */
  drawNext(): boolean {
    const next = this.stage?.arrivals.next()
    if (next === undefined || next.done === true) return false
    this.plan(next.value, this.startS, true)
    return true
  }

  /** The client whose request was answered in full asks again; false when it is done, or clients ask no more. */
  askAgain(answered: PlannedRequest, nowS: number): boolean {
    const next = answered.next?.()
    const lastAskS = this.startS + (this.stage?.lastAskS ?? Number.POSITIVE_INFINITY)
    if (next === undefined || nowS + next.afterS >= lastAskS) return false
    this.plan(next, nowS, false)
    return true
  }

  /** What arrives now under this number. */
  arrived(number: number): PlannedRequest {
    const request = this.planned.get(number)!
    this.planned.delete(number)
    return request
  }

  /** Whether what arrives now is measured: the warm-up is over. */
  isMeasured(nowS: number): boolean {
    return nowS - this.startS >= this.stage!.warmUpS
  }

  private plan(request: PlannedRequest, fromS: number, fromStage: boolean): void {
    const number = this.numbers++
    this.planned.set(number, request)
    this.schedule(fromS + request.afterS, number, fromStage)
  }
}
