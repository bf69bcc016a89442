import { describe, expect, test } from "bun:test"
import { Effect, FastCheck as fc } from "effect"
import { MessageRing } from "../../actors/runtime/MessageRing.ts"
import { asked, runScoped, say, spawnScript } from "./actorTools.ts"

type Fate = "answer" | "refuse" | "throw" | "die" | "ignore" | "later" | "tell"

describe("the ring", () => {
  test("behaves as a queue with two bounds, whatever comes", () => {
    const step = fc.constantFrom("offer", "offerReserved", "take")
    fc.assert(fc.property(fc.nat(9), fc.nat(9), fc.array(step, { maxLength: 300 }), (capacity, reserved, steps) => {
      const ring = new MessageRing<number>(capacity, reserved)
      const model: Array<{ readonly message: number; readonly reserved: boolean }> = []
      const count = (kind: boolean) => model.filter((entry) => entry.reserved === kind).length
      for (const [message, kind] of steps.entries()) {
        if (kind === "take") expect(ring.take()).toBe(model.shift()?.message as number)
        else {
          const isReserved = kind === "offerReserved"
          const room = count(isReserved) < (isReserved ? reserved : capacity)
          expect(isReserved ? ring.offerReserved(message) : ring.offer(message, undefined)).toBe(room)
          if (room) model.push({ message, reserved: isReserved })
        }
        expect(ring.size).toBe(model.length)
        expect(ring.full).toBe(count(false) >= capacity)
      }
    }))
  })
})

test("the ring keeps what waits, in order, when its bounds grow or shrink", () => {
  const step = fc.oneof(
    fc.constantFrom("offer" as const, "offerReserved" as const, "take" as const),
    fc.record({ capacity: fc.nat(9), reserved: fc.nat(9) })
  )
  fc.assert(fc.property(fc.nat(9), fc.nat(9), fc.array(step, { maxLength: 200 }), (capacity, reserved, steps) => {
    const ring = new MessageRing<number>(capacity, reserved)
    const model: Array<{ readonly message: number; readonly reserved: boolean }> = []
    const bounds = { capacity, reserved }
    const count = (kind: boolean) => model.filter((entry) => entry.reserved === kind).length
    for (const [message, kind] of steps.entries()) {
      if (typeof kind === "object") {
        ring.resize(kind.capacity, kind.reserved)
        Object.assign(bounds, kind)
      } else if (kind === "take") expect(ring.take()).toBe(model.shift()?.message as number)
      else {
        const isReserved = kind === "offerReserved"
        const room = count(isReserved) < (isReserved ? bounds.reserved : bounds.capacity)
        expect(isReserved ? ring.offerReserved(message) : ring.offer(message, undefined)).toBe(room)
        if (room) model.push({ message, reserved: isReserved })
      }
      expect(ring.size).toBe(model.length)
    }
    for (const { message } of model) expect(ring.take()).toBe(message)
  }))
})

describe("the actor", () => {
  const fate = fc.constantFrom<Fate>("answer", "refuse", "throw", "die", "ignore", "later", "tell")

  test("gives every ask one outcome, in whatever mix of answers, refusals, crashes and silence", () =>
    fc.assert(
      fc.asyncProperty(fc.array(fate, { maxLength: 60 }), async (fates) => {
        const outcomes: Array<string> = []
        await runScoped(Effect.gen(function*() {
          const ref = yield* spawnScript({ mailboxCapacity: 40, restartsMax: 1000, backoffMinMs: 0, backoffMaxMs: 0 })
          const asks = fates.map((kind) => {
            if (kind === "tell") ref.unsafeTell(say("word"))
            if (kind === "tell") return Promise.resolve("told")
            const ask = ref.unsafeAsk<string, string>(
              asked((seen, reply) => {
                if (kind === "answer") reply.succeed("answered")
                if (kind === "refuse") reply.fail("refused")
                if (kind === "throw") throw new Error("boom")
                if (kind === "die") return Effect.die("boom")
                if (kind === "later") {
                  return Effect.as(Effect.sync(() => queueMicrotask(() => reply.succeed("late"))), seen)
                }
                return seen
              }),
              // Only silence is to run into its deadline, however slow the machine.
              kind === "ignore" ? 30 : 10_000
            )
            return ask.catch((error: unknown) =>
              typeof error === "string" ? error : (error as { readonly _tag: string })._tag
            )
          })
          outcomes.push(...yield* Effect.promise(() => Promise.all(asks)))
        }))
        const expected: Record<Fate, string> = {
          answer: "answered",
          refuse: "refused",
          throw: "ActorCrashed",
          die: "ActorCrashed",
          ignore: "AskTimedOut",
          later: "late",
          tell: "told"
        }
        for (const [index, kind] of fates.entries()) {
          // All were sent at once, so what came after the fortieth found no room.
          const refused = index >= 40 ? kind === "tell" ? "told" : "MailboxFull" : expected[kind]
          expect(outcomes[index]).toBe(refused)
        }
      }),
      { numRuns: 30 }
    ))
})
