import { describe, expect, test } from "bun:test"
import { Effect, Exit, Fiber, Scope } from "effect"
import { ActorWatch } from "../../actors/runtime/ActorWatch.ts"
import { ActorCrashed, ActorStopped, AskTimedOut, MailboxFull } from "../../actors/runtime/errors.ts"
import { act, asked, gate, type LogLine, recall, runScoped, say, spawnScript, until } from "./actorTools.ts"

const throws = (word: string) =>
  act(() => {
    throw new Error(word)
  })
const crash = throws("boom")
const errorOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(() => "answered", (error: unknown) => error)

test("crashes are told to who watches the actors, by their names", () => {
  const crashed: Array<string> = []
  return runScoped(
    Effect.gen(function*() {
      const ref = yield* spawnScript({ name: "pod 10.0.0.1:8000" })
      yield* ref.tell(crash)
      yield* ref.tell(say("a"))
      yield* ref.tell(crash)
      expect(yield* ref.ask(recall, 1000)).toBe("a")
      expect(crashed).toEqual(["pod 10.0.0.1:8000", "pod 10.0.0.1:8000"])
    }).pipe(Effect.provideService(ActorWatch, { crashed: (name) => void crashed.push(name) }))
  )
})

describe("mailbox", () => {
  test("messages are handled in the order of arrival, reserved ones among them", () =>
    runScoped(Effect.gen(function*() {
      const ref = yield* spawnScript()
      yield* ref.tell(say("a"))
      ref.unsafeTellReserved(say("b"))
      ref.unsafeTell(say("c"))
      ref.unsafeTellReserved(say("d"))
      expect(yield* ref.ask(recall, 1000)).toBe("a b c d")
    })))

  test("one message at a time: the next waits while the first suspends", () =>
    runScoped(Effect.gen(function*() {
      const ref = yield* spawnScript()
      let running = 0
      let runningMax = 0
      const slow = act((seen) =>
        Effect.gen(function*() {
          runningMax = Math.max(runningMax, ++running)
          yield* Effect.sleep(1)
          running--
          return seen
        })
      )
      for (let count = 0; count < 5; count++) yield* ref.tell(slow)
      yield* ref.ask(recall, 1000)
      expect(runningMax).toBe(1)
    })))

  test("a full mailbox refuses tell and ask at once with MailboxFull", () =>
    runScoped(Effect.gen(function*() {
      const ref = yield* spawnScript({ mailboxCapacity: 2 })
      const closed = gate()
      yield* ref.tell(closed.message)
      yield* until("the gate is in hand", () => ref.depth() === 0)
      yield* ref.tell(say("a"))
      yield* ref.tell(say("b"))
      expect(yield* Effect.flip(ref.tell(say("c")))).toEqual(new MailboxFull({ actor: "script", capacity: 2 }))
      expect(yield* Effect.flip(ref.ask(recall, 1000))).toBeInstanceOf(MailboxFull)
      expect(ref.unsafeTell(say("c"))).toBe(false)
      expect(yield* Effect.promise(() => errorOf(ref.unsafeAsk(recall, 1000)))).toBeInstanceOf(MailboxFull)
      closed.release()
      yield* until("the mailbox is empty", () => ref.depth() === 0)
      expect(yield* ref.ask(recall, 1000)).toBe("gate a b")
    })))

  test("the reserved room takes messages when the mailbox is full", () =>
    runScoped(Effect.gen(function*() {
      const ref = yield* spawnScript({ mailboxCapacity: 1, reservedCapacity: 2 })
      const closed = gate()
      yield* ref.tell(closed.message)
      yield* until("the gate is in hand", () => ref.depth() === 0)
      yield* ref.tell(say("a"))
      expect(ref.unsafeTell(say("lost"))).toBe(false)
      expect(ref.unsafeTellReserved(say("b"))).toBe(true)
      expect(ref.unsafeTellReserved(say("c"))).toBe(true)
      closed.release()
      yield* until("the mailbox is empty", () => ref.depth() === 0)
      expect(yield* ref.ask(recall, 1000)).toBe("gate a b c")
    })))

  test("asks that follow each other without end let timers have their turn", () =>
    runScoped(Effect.gen(function*() {
      const ref = yield* spawnScript()
      const asked = yield* Effect.promise(async () => {
        const timer = { ran: false }
        setTimeout(() => {
          timer.ran = true
        })
        let asked = 0
        for (; !timer.ran && asked < 100_000; asked++) await ref.unsafeAsk(recall, 1000)
        return asked
      })
      expect(asked).toBeLessThan(100_000)
    })))

  test("an overflow of the reserved room is counted and logged as an error", async () => {
    const lines: Array<LogLine> = []
    await runScoped(
      Effect.gen(function*() {
        const ref = yield* spawnScript({ reservedCapacity: 1 })
        const closed = gate()
        yield* ref.tell(closed.message)
        yield* until("the gate is in hand", () => ref.depth() === 0)
        expect(ref.unsafeTellReserved(say("a"))).toBe(true)
        expect(ref.unsafeTellReserved(say("b"))).toBe(false)
        expect(ref.reservedOverflows()).toBe(1)
        closed.release()
        yield* ref.ask(recall, 1000)
      }),
      lines
    )
    const errors = lines.filter((line) => line.level === "ERROR")
    expect(errors.map((line) => line.text)).toEqual([
      "actor script: its reserved room (1) is too small; messages lost so far: 1"
    ])
    expect(errors[0]?.annotations).toEqual({ actor: "script" })
  })

  test("a long run of messages lets sockets and timers have their turn", () =>
    runScoped(Effect.gen(function*() {
      const ref = yield* spawnScript({ mailboxCapacity: 4096 })
      yield* ref.ask(recall, 1000)
      let handled = 0
      let handledAtTurn = -1
      for (let count = 0; count < 4096; count++) {
        ref.unsafeTell(act((seen) => {
          handled++
          return seen
        }))
      }
      setImmediate(() => {
        handledAtTurn = handled
      })
      yield* until("all are handled", () => handled === 4096)
      expect(handledAtTurn).toBeGreaterThanOrEqual(0)
      expect(handledAtTurn).toBeLessThan(4096)
    })))
})

describe("crash", () => {
  test("a throw loses only the message in hand; those behind it in the same batch survive", () =>
    runScoped(Effect.gen(function*() {
      const ref = yield* spawnScript()
      for (const message of [say("a"), crash, say("b"), crash, say("c")]) ref.unsafeTell(message)
      expect(yield* ref.ask(recall, 1000)).toBe("a b c")
    })))

  test("a throw fails its asker with ActorCrashed and the cause", () =>
    runScoped(Effect.gen(function*() {
      const ref = yield* spawnScript()
      const cause = new Error("boom")
      const error = yield* Effect.flip(ref.ask(
        asked(() => {
          throw cause
        }),
        1000
      ))
      expect(error).toBeInstanceOf(ActorCrashed)
      expect((error as ActorCrashed).cause).toBe(cause)
    })))

  test("a defect in an Effect fails its asker and spares the asks that wait", () =>
    runScoped(Effect.gen(function*() {
      const ref = yield* spawnScript()
      const cause = new Error("boom")
      const first = errorOf(ref.unsafeAsk(
        asked((_, reply) => {
          reply.abandoned()
          return Effect.zipRight(Effect.sleep(1), Effect.die(cause))
        }),
        1000
      ))
      const second = ref.unsafeAsk(recall, 1000)
      const error = yield* Effect.promise(() => first)
      expect(error).toBeInstanceOf(ActorCrashed)
      expect((error as ActorCrashed).cause).toBe(cause)
      expect(yield* Effect.promise(() => second)).toBe("")
    })))

  test("an answer given before the crash stands", () =>
    runScoped(Effect.gen(function*() {
      const ref = yield* spawnScript()
      const answer = yield* ref.ask(
        asked((_, reply) => {
          reply.succeed("done")
          throw new Error("boom")
        }),
        1000
      )
      expect(answer).toBe("done")
    })))

  test("the actor goes on from the last good state through recover", () =>
    runScoped(Effect.gen(function*() {
      const ref = yield* spawnScript({}, {
        recover: (lastGood, cause) => Effect.succeed([...lastGood, `(${(cause as Error).message})`])
      })
      for (const message of [say("a"), throws("boom"), say("b")]) ref.unsafeTell(message)
      expect(yield* ref.ask(recall, 1000)).toBe("a (boom) b")
    })))

  test("a crash in recover is one more crash and is tried again from the same good state", () =>
    runScoped(Effect.gen(function*() {
      let tries = 0
      const ref = yield* spawnScript({}, {
        recover: (lastGood) => ++tries < 3 ? Effect.die("not yet") : Effect.succeed([...lastGood, "recovered"])
      })
      for (const message of [say("a"), crash]) ref.unsafeTell(message)
      expect(yield* ref.ask(recall, 1000)).toBe("a recovered")
      expect(tries).toBe(3)
    })))

  test("a crash in init is retried while messages wait", () =>
    runScoped(Effect.gen(function*() {
      let tries = 0
      const ref = yield* spawnScript({}, {
        init: Effect.suspend(() => ++tries < 3 ? Effect.die("not yet") : Effect.succeed(["ready"]))
      })
      expect(yield* ref.ask(recall, 1000)).toBe("ready")
    })))

  test("restarts back off, doubling from the least to the most", async () => {
    const lines: Array<LogLine> = []
    await runScoped(
      Effect.gen(function*() {
        const ref = yield* spawnScript({ restartsMax: 5, backoffMinMs: 2, backoffMaxMs: 8 })
        for (let count = 0; count < 4; count++) ref.unsafeTell(crash)
        const startMs = performance.now()
        yield* ref.ask(recall, 5000)
        expect(performance.now() - startMs).toBeGreaterThanOrEqual(2 + 4 + 8 + 8 - 4)
      }),
      lines
    )
    expect(lines.map((line) => line.text.split("\n")[0])).toEqual(
      [2, 4, 8, 8].map((ms) => expect.stringContaining(`crashed; restarts in ${ms} ms`))
    )
  })

  test("more crashes than the budget end the actor: waiting and later asks fail with ActorStopped, join too", () =>
    runScoped(Effect.gen(function*() {
      const ref = yield* spawnScript({ restartsMax: 2 })
      for (let count = 0; count < 3; count++) ref.unsafeTell(crash)
      const waiting = errorOf(ref.unsafeAsk(recall, 10_000))
      const stopped = yield* Effect.flip(ref.join)
      expect(stopped).toEqual(
        new ActorStopped({ actor: "script", reason: "it crashed more than 2 times in 60 s" })
      )
      expect(yield* Effect.promise(() => waiting)).toBeInstanceOf(ActorStopped)
      expect(yield* Effect.flip(ref.ask(recall, 1000))).toBeInstanceOf(ActorStopped)
      expect(yield* Effect.flip(ref.tell(say("late")))).toBeInstanceOf(ActorStopped)
      expect(ref.unsafeTell(say("late"))).toBe(false)
      expect(ref.unsafeTellReserved(say("late"))).toBe(false)
    })))

  test("crashes outside the window do not count", () =>
    runScoped(Effect.gen(function*() {
      const ref = yield* spawnScript({ restartsMax: 1, restartWindowMs: 5 })
      for (let count = 0; count < 4; count++) {
        ref.unsafeTell(crash)
        yield* ref.ask(recall, 1000)
        yield* Effect.sleep(10)
      }
      expect(yield* ref.ask(recall, 1000)).toBe("")
    })))
})

describe("ask", () => {
  test("the actor's own error reaches the asker typed", () =>
    runScoped(Effect.gen(function*() {
      const ref = yield* spawnScript()
      const refuse = asked((seen, reply) => {
        reply.fail("no")
        return seen
      })
      expect(yield* Effect.flip(ref.ask(refuse, 1000))).toBe("no")
      expect(yield* Effect.promise(() => errorOf(ref.unsafeAsk(refuse, 1000)))).toBe("no")
    })))

  test("the first answer counts and a second is harmless", () =>
    runScoped(Effect.gen(function*() {
      const ref = yield* spawnScript()
      const twice = asked((seen, reply) => {
        reply.succeed("first")
        reply.succeed("second")
        reply.fail("third")
        return seen
      })
      expect(yield* ref.ask(twice, 1000)).toBe("first")
    })))

  test("an answer may come later, from state", () =>
    runScoped(Effect.gen(function*() {
      const ref = yield* spawnScript()
      let kept: ((word: string) => void) | undefined
      const held = ref.unsafeAsk(
        asked((seen, reply) => {
          kept = (word) => reply.succeed(word)
          return seen
        }),
        1000
      )
      yield* ref.tell(act((seen) => {
        kept?.("later")
        return seen
      }))
      expect(yield* Effect.promise(() => held)).toBe("later")
    })))

  test("without an answer by the deadline it fails with AskTimedOut, and the reply is abandoned", () =>
    runScoped(Effect.gen(function*() {
      const ref = yield* spawnScript()
      let abandoned = () => false
      const keep = asked((seen, reply) => {
        abandoned = () => reply.abandoned()
        return seen
      })
      const error = yield* Effect.flip(ref.ask(keep, 5))
      expect(error).toEqual(new AskTimedOut({ actor: "script", deadlineMs: 5 }))
      expect(abandoned()).toBe(true)
      expect(yield* Effect.promise(() => errorOf(ref.unsafeAsk(keep, 5)))).toBeInstanceOf(AskTimedOut)
      expect(abandoned()).toBe(true)
    })))

  test("each ask keeps its own deadline", () =>
    runScoped(Effect.gen(function*() {
      const ref = yield* spawnScript()
      const order: Array<number> = []
      const ignore = asked((seen) => seen)
      const asks = [150, 5, 75].map((deadlineMs) =>
        errorOf(ref.unsafeAsk(ignore, deadlineMs)).then(() => order.push(deadlineMs))
      )
      yield* Effect.promise(() => Promise.all(asks))
      expect(order).toEqual([5, 75, 150])
    })))

  test("a message whose asker gave up while it waited is skipped", () =>
    runScoped(Effect.gen(function*() {
      const ref = yield* spawnScript()
      const closed = gate()
      yield* ref.tell(closed.message)
      let received = 0
      const count = asked((seen, reply) => {
        received++
        reply.succeed("")
        return seen
      })
      const late = yield* Effect.flip(ref.ask(count, 5))
      expect(late).toBeInstanceOf(AskTimedOut)
      const interrupted = yield* Effect.fork(ref.ask(count, 10_000))
      yield* until("the second ask waits", () => ref.depth() === 2)
      yield* Fiber.interrupt(interrupted)
      closed.release()
      expect(yield* ref.ask(recall, 1000)).toBe("gate")
      expect(received).toBe(0)
    })))

  test("unsafeAsk works without any fiber at the call site", async () => {
    const scope = Effect.runSync(Scope.make())
    const ref = await Effect.runPromise(Scope.extend(spawnScript(), scope))
    const answers = await Promise.all(
      ["a", "b", "c"].map((word) =>
        ref.unsafeAsk<string, string>(
          asked((seen, reply) => {
            reply.succeed(word)
            return [...seen, word]
          }),
          1000
        )
      )
    )
    expect(answers).toEqual(["a", "b", "c"])
    await Effect.runPromise(Scope.close(scope, Exit.void))
  })
})

describe("stop", () => {
  test("closing the scope finishes the message in hand, fails waiting asks, then runs stopped", async () => {
    const events: Array<string> = []
    const waiting = await runScoped(Effect.gen(function*() {
      const closed = gate()
      const scope = yield* Scope.make()
      const ref = yield* Scope.extend(
        spawnScript({}, { stopped: (seen) => Effect.sync(() => events.push(`stopped after ${seen.join(" ")}`)) }),
        scope
      )
      yield* ref.tell(closed.message)
      yield* until("the gate is in hand", () => ref.depth() === 0)
      const asking = errorOf(ref.unsafeAsk(recall, 10_000)).then((error) => {
        events.push("waiting ask failed")
        return error
      })
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* until("the mailbox is closed", () => !ref.unsafeTell(say("late")))
      expect(events).toEqual([])
      expect(ref.unsafeTellReserved(say("late"))).toBe(false)
      closed.release()
      yield* Fiber.join(closing)
      expect(yield* Effect.flip(ref.join)).toEqual(
        new ActorStopped({ actor: "script", reason: "it was told to stop" })
      )
      return yield* Effect.promise(() => asking)
    }))
    expect(waiting).toBeInstanceOf(ActorStopped)
    expect(events.toSorted()).toEqual(["stopped after gate", "waiting ask failed"])
  })

  test("an ask that the actor had kept for later fails with ActorStopped too", async () => {
    let kept: Promise<unknown> | undefined
    await runScoped(Effect.gen(function*() {
      const ref = yield* spawnScript()
      kept = errorOf(ref.unsafeAsk(asked((seen) => seen), 10_000))
      yield* ref.ask(recall, 1000)
    }))
    expect(await kept).toBeInstanceOf(ActorStopped)
  })

  test("a stop during a long backoff does not wait for it", async () => {
    const lines: Array<LogLine> = []
    await runScoped(
      Effect.gen(function*() {
        const ref = yield* spawnScript({ backoffMinMs: 60_000, backoffMaxMs: 60_000 })
        ref.unsafeTell(crash)
        yield* until("it backs off", () => lines.length > 0)
      }),
      lines
    )
    expect(lines.filter((line) => line.text.includes("did not stop"))).toEqual([])
  })

  test("a message that never ends is interrupted after stopWithinMs", async () => {
    const lines: Array<LogLine> = []
    let hanging: Promise<unknown> | undefined
    await runScoped(
      Effect.gen(function*() {
        const ref = yield* spawnScript({ stopWithinMs: 10 })
        hanging = errorOf(ref.unsafeAsk(asked(() => Effect.never), 10_000))
        yield* until("it is in hand", () => ref.depth() === 0)
      }),
      lines
    )
    expect(await hanging).toBeInstanceOf(ActorStopped)
    expect(lines.map((line) => line.text)).toEqual([
      "actor script did not stop within 10 ms; its work is interrupted"
    ])
  })
})
