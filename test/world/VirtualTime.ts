import { Clock, Duration, Effect, type Exit, HashMap, Logger, Random, Scheduler } from "effect"
import { ActorTimers, type Timers } from "../../actors/runtime/Timers.ts"

interface Timer {
  readonly atMs: number
  readonly order: number
  run: (() => void) | undefined
}

/** A line of the log of what runs in virtual time. */
export interface WorldLogLine {
  readonly level: string
  readonly text: string
}

/**
 * Time that stands still until everything that can run has run, and then jumps to the next timer. Effects get it as
 * their clock and actors as their timers; their fibers and promises run as microtasks, so one turn of the event loop
 * is enough to know that all is quiet, and the order of things depends on nothing but the program.
 */
export class VirtualTime {
  nowMs: number
  private readonly heap: Array<Timer> = []
  private readonly soonTasks: Array<() => void> = []
  private readonly random: Random.Random
  private timersMade = 0

  constructor(startMs: number, seed: number) {
    this.nowMs = startMs
    this.random = Random.make(seed)
  }

  /** Calls `run` in so many milliseconds. */
  after(delayMs: number, run: () => void): Timer {
    const timer: Timer = { atMs: this.nowMs + Math.max(0, delayMs), order: this.timersMade++, run }
    const { heap } = this
    let at = heap.length
    heap.push(timer)
    while (at > 0) {
      const above = (at - 1) >> 1
      if (isBefore(heap[above]!, timer)) break
      heap[at] = heap[above]!
      at = above
    }
    heap[at] = timer
    return timer
  }

  cancel(timer: Timer | undefined): void {
    if (timer !== undefined) timer.run = undefined
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve))
  }

  /**
   * Until what is returned is called, code that knows nothing of this time lives in it too: the request path takes its
   * clock and its timers from the platform.
   */
  takeOver(): () => void {
    const { clearTimeout, setTimeout } = globalThis
    const { now } = performance
    const dateNow = Date.now
    globalThis.setTimeout = ((run: () => void, delayMs = 0) => this.after(delayMs, run)) as unknown as typeof setTimeout
    globalThis.clearTimeout = ((timer: Timer | undefined) => this.cancel(timer)) as typeof clearTimeout
    performance.now = () => this.nowMs
    Date.now = () => Math.round(this.nowMs)
    return () => {
      globalThis.setTimeout = setTimeout
      globalThis.clearTimeout = clearTimeout
      performance.now = now
      Date.now = dateNow
    }
  }

  /** Starts an effect in this time; the promise never rejects. */
  start<A, E>(effect: Effect.Effect<A, E>, onLog: (line: WorldLogLine) => void): Promise<Exit.Exit<A, E>> {
    const logger = Logger.make(({ annotations, logLevel, message }) => {
      const parts: ReadonlyArray<unknown> = Array.isArray(message) ? message : [message]
      const actor = HashMap.get(annotations, "actor")
      const who = actor._tag === "Some" ? `[${String(actor.value)}] ` : ""
      onLog({ level: logLevel.label, text: who + parts.map(String).join(" ") })
    })
    const inThisTime = effect.pipe(
      Effect.provideService(ActorTimers, this.timers),
      Effect.withClock(this.clock),
      Effect.withRandom(this.random),
      Effect.provide(Logger.replace(Logger.defaultLogger, logger))
    )
    return new Promise((resolve) => {
      Effect.runFork(inThisTime, { scheduler: inMicrotasks }).addObserver(resolve)
    })
  }

  /** Runs the next timer and all that follows from it at the same moment; false when there is none up to then. */
  async step(untilMs: number): Promise<boolean> {
    for (;;) {
      const next = this.heap[0]
      if (next === undefined || next.atMs > untilMs) {
        this.nowMs = Math.max(this.nowMs, untilMs)
        return false
      }
      this.removeFirst()
      if (next.run === undefined) continue
      this.nowMs = next.atMs
      next.run()
      await this.quiet()
      return true
    }
  }

  /** Ends when nothing can run any more before time goes on. */
  async quiet(): Promise<void> {
    let tasks: ReadonlyArray<() => void>
    do {
      await new Promise<void>((resolve) => setImmediate(resolve))
      tasks = this.soonTasks.splice(0)
      for (const task of tasks) task()
      // What they set going has not run yet.
    } while (tasks.length > 0)
  }

  private removeFirst(): void {
    const { heap } = this
    const last = heap.pop()!
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      if (below >= heap.length) break
      if (below + 1 < heap.length && isBefore(heap[below + 1]!, heap[below]!)) below++
      if (!isBefore(heap[below]!, last)) break
      heap[at] = heap[below]!
      at = below
    }
    heap[at] = last
  }

  private readonly timers: Timers = {
    nowMs: () => this.nowMs,
    start: (run, delayMs) => this.after(delayMs, run),
    stop: (timer) => this.cancel(timer as Timer | undefined),
    soon: (run) => void this.soonTasks.push(run)
  }

  private readonly clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => this.nowMs,
    unsafeCurrentTimeNanos: () => BigInt(Math.round(this.nowMs * 1e6)),
    currentTimeMillis: Effect.sync(() => this.nowMs),
    currentTimeNanos: Effect.sync(() => BigInt(Math.round(this.nowMs * 1e6))),
    sleep: (duration) =>
      Effect.async<void>((resume) => {
        const timer = this.after(Duration.toMillis(duration), () => resume(Effect.void))
        return Effect.sync(() => this.cancel(timer))
      })
  }
}

const isBefore = (one: Timer, other: Timer): boolean =>
  one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order)

/** Effect's own scheduler lets real timers in now and then. */
const inMicrotasks: Scheduler.Scheduler = {
  shouldYield: Scheduler.defaultShouldYield,
  scheduleTask: (task) => queueMicrotask(task)
}
