/**
 * What one `unsafeAsk` costs: `bun test/actors/askCost.ts`. Prints microseconds for a batch of asks made at once,
 * and for asks made one after the other (each waits for its answer, so that it pays for waking the fiber too).
 */
import { Effect } from "effect"
import { type ActorRef, spawn } from "../../actors/runtime/Actor.ts"
import type { Reply } from "../../actors/runtime/Reply.ts"

interface Count {
  readonly _tag: "Count"
  readonly reply: Reply<number, never>
}

const ASKS = 1000
const ROUNDS = 300

const ask = (ref: ActorRef<Count>): Promise<number> =>
  ref.unsafeAsk<number, never>((reply) => ({ _tag: "Count", reply }), 1000)

const inBatches = async (ref: ActorRef<Count>): Promise<ReadonlyArray<number>> => {
  const costsUs: Array<number> = []
  for (let round = 0; round < ROUNDS; round++) {
    const startMs = performance.now()
    const answers: Array<Promise<number>> = []
    for (let count = 0; count < ASKS; count++) answers.push(ask(ref))
    await Promise.all(answers)
    costsUs.push((performance.now() - startMs) * 1000 / ASKS)
  }
  return costsUs
}

const oneByOne = async (ref: ActorRef<Count>): Promise<ReadonlyArray<number>> => {
  const costsUs: Array<number> = []
  for (let round = 0; round < ROUNDS; round++) {
    const startMs = performance.now()
    for (let count = 0; count < ASKS / 10; count++) await ask(ref)
    costsUs.push((performance.now() - startMs) * 1000 / (ASKS / 10))
  }
  return costsUs
}

const summary = (costsUs: ReadonlyArray<number>) => {
  const sorted = costsUs.slice(ROUNDS / 3).toSorted((a, b) => a - b)
  const at = (share: number) => Number((sorted[Math.floor(sorted.length * share)] ?? Number.NaN).toFixed(2))
  return { p50Us: at(0.5), p90Us: at(0.9) }
}

await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
  const ref = yield* spawn<number, Count, never>(
    {
      init: Effect.succeed(0),
      receive: (count, message) => {
        message.reply.succeed(count)
        return count + 1
      }
    },
    {
      name: "counter",
      mailboxCapacity: 4096,
      reservedCapacity: 0,
      restartsMax: 0,
      restartWindowMs: 1000,
      backoffMinMs: 1,
      backoffMaxMs: 1
    }
  )
  const batched = yield* Effect.promise(() => inBatches(ref))
  const sequential = yield* Effect.promise(() => oneByOne(ref))
  console.log(JSON.stringify({ batched: summary(batched), oneByOne: summary(sequential) }))
})))
