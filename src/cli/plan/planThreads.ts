import { Effect, Queue, type Scope } from "effect"
import type { RunSummary } from "../../simulator/Measurements.ts"
import { CommandFailure } from "../failure.ts"
import type { PlanJob, PlanReply, PlanRequest, PlanWorld } from "./planMessages.ts"

/** Simulates one fleet on a free thread, and waits for one when all are busy. */
export type SimulateFleet = (
  job: PlanJob,
  onEnded: (requests: number) => void
) => Effect.Effect<RunSummary, CommandFailure>

/** Threads that simulate fleets of one world, since a simulation keeps a core busy for seconds. */
export const planThreads = (
  world: PlanWorld,
  count: number
): Effect.Effect<SimulateFleet, CommandFailure, Scope.Scope> =>
  Effect.gen(function*() {
    const idle = yield* Queue.bounded<Worker>(count)
    for (let i = 0; i < count; i++) {
      const thread = yield* Effect.acquireRelease(
        Effect.sync(() => new Worker(new URL("./planThread.ts", import.meta.url))),
        (thread) => Effect.sync(() => thread.terminate())
      )
      send(thread, { _tag: "open", world })
      yield* Queue.offer(idle, thread)
    }
    return (job, onEnded) =>
      Effect.acquireUseRelease(
        Queue.take(idle),
        (thread) => simulateOn(thread, job, onEnded),
        (thread) => Queue.offer(idle, thread)
      )
  })

const send = (thread: Worker, request: PlanRequest): void => thread.postMessage(request)

const simulateOn = (
  thread: Worker,
  job: PlanJob,
  onEnded: (requests: number) => void
): Effect.Effect<RunSummary, CommandFailure> =>
  Effect.async((resume) => {
    const fail = (fault: string) =>
      finish(Effect.fail(new CommandFailure({ message: `warmroute plan: ${job.policy}, ${job.pods} pods: ${fault}` })))
    const onMessage = ({ data }: MessageEvent<PlanReply>) => {
      if (data._tag === "progress") onEnded(data.ended)
      else if (data._tag === "done") finish(Effect.succeed(data.summary))
      else fail(data.fault)
    }
    const onError = (event: ErrorEvent) => fail(event.message)
    const forget = () => {
      thread.removeEventListener("message", onMessage)
      thread.removeEventListener("error", onError)
    }
    const finish = (result: Effect.Effect<RunSummary, CommandFailure>) => {
      forget()
      resume(result)
    }
    thread.addEventListener("message", onMessage)
    thread.addEventListener("error", onError)
    send(thread, { _tag: "simulate", job })
    return Effect.sync(forget)
  })
