import { Effect, type Scope } from "effect"
import { type ActorRef, spawn } from "../../actors/runtime/Actor.ts"
import type { SchedulerMessage, SketchExport } from "../../actors/SchedulerMessages.ts"
import type { EngineConstants } from "../../src/core/EngineConstants.ts"
import { hardwarePresets } from "../../src/core/hardwarePresets.ts"
import type { PodId } from "../../src/core/Pod.ts"

export const constants: EngineConstants = hardwarePresets["qwen3-32b-2xh100"]!

export const sketchOf = (id: string, ...bytes: ReadonlyArray<number>): SketchExport => ({
  id: id as PodId,
  blockSizeTokens: 16,
  kvCapacityTokens: 16_000,
  blocks: Uint8Array.from(bytes)
})

/** An actor in the scheduler's place that keeps what it is told and exports the sketches it is given. */
export interface SchedulerInbox {
  readonly ref: ActorRef<SchedulerMessage>
  readonly messages: Array<SchedulerMessage>
  /** The messages about a pod, as `Tag` or `PodObserved+` (accepting) and `PodObserved-`, repeats left out. */
  readonly story: (id: string) => ReadonlyArray<string>
  readonly accepting: (id: string) => boolean
  readonly sketches: Map<string, SketchExport>
}

export const schedulerInbox = (
  mailboxCapacity = 10_000,
  outputTokensByModel: Readonly<Record<string, number>> = {}
): Effect.Effect<SchedulerInbox, never, Scope.Scope> =>
  Effect.gen(function*() {
    const messages: Array<SchedulerMessage> = []
    const sketches = new Map<string, SketchExport>()
    const ref = yield* spawn<number, SchedulerMessage, never>(
      {
        init: Effect.succeed(0),
        receive: (count, message) => {
          messages.push(message)
          if (message._tag === "ExportSketches") {
            message.reply.succeed(message.ids.flatMap((id) => sketches.get(id) ?? []))
          } else if (message._tag === "ExportOutputLengths") message.reply.succeed(outputTokensByModel)
          return count + 1
        }
      },
      {
        name: "scheduler",
        mailboxCapacity,
        reservedCapacity: 1000,
        restartsMax: 0,
        restartWindowMs: 1000,
        backoffMinMs: 1,
        backoffMaxMs: 1
      }
    )
    const about = (id: string): ReadonlyArray<SchedulerMessage> =>
      messages.filter((message) =>
        message._tag === "PodJoined" ? message.address.id === id : "id" in message && message.id === id
      )
    return {
      ref,
      messages,
      sketches,
      story: (id) =>
        about(id)
          .map((message) =>
            message._tag === "PodObserved" ? `PodObserved${message.accepting ? "+" : "-"}` : message._tag
          )
          .filter((word, index, words) => word !== words[index - 1]),
      accepting: (id) => about(id).findLast((message) => message._tag === "PodObserved")?.accepting === true
    }
  })
