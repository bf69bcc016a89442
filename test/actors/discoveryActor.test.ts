import { describe, expect, test } from "bun:test"
import { Effect, Mailbox, Stream } from "effect"
import { makeDiscoveryActor } from "../../actors/DiscoveryActor.ts"
import type { PoolMessage } from "../../actors/PoolMessages.ts"
import { spawn } from "../../actors/runtime/Actor.ts"
import { type PodAddress, podAddress } from "../../src/core/Pod.ts"
import { type Discovery, DiscoveryError } from "../../src/discovery/Discovery.ts"
import { type LogLine, runScoped, until } from "./actorTools.ts"

const pod = (host: string, preset?: string): PodAddress => podAddress(host, 8000, false, preset)

/** A source that a test speaks for: one subscription is one mailbox. */
const scriptedSource = (name: string) => {
  let mailbox: Mailbox.Mailbox<ReadonlyArray<PodAddress>, DiscoveryError> | undefined
  let subscriptions = 0
  const discovery: Discovery = {
    name,
    addresses: Stream.unwrap(Effect.gen(function*() {
      mailbox = yield* Mailbox.make<ReadonlyArray<PodAddress>, DiscoveryError>(16)
      subscriptions++
      return Mailbox.toStream(mailbox)
    }))
  }
  return {
    discovery,
    subscriptions: () => subscriptions,
    list: (...addresses: ReadonlyArray<PodAddress>) => Effect.suspend(() => mailbox?.offer(addresses) ?? Effect.void),
    fail: (why: string) =>
      Effect.suspend(() => mailbox?.fail(new DiscoveryError({ source: name, why })) ?? Effect.void),
    end: Effect.suspend(() => mailbox?.end ?? Effect.void)
  }
}

const world = (sources: ReadonlyArray<Discovery>, poolCapacity = 64) =>
  Effect.gen(function*() {
    const told: Array<ReadonlyArray<string>> = []
    const messages: Array<PoolMessage> = []
    const pool = yield* spawn<number, PoolMessage, never>(
      {
        init: Effect.succeed(0),
        receive: (count, message) => {
          messages.push(message)
          if (message._tag === "PodsDiscovered") told.push(message.addresses.map((address) => address.hostname))
          return count + 1
        }
      },
      {
        name: "pool",
        mailboxCapacity: poolCapacity,
        reservedCapacity: 0,
        restartsMax: 0,
        restartWindowMs: 1000,
        backoffMinMs: 1,
        backoffMaxMs: 1
      }
    )
    const handle = yield* makeDiscoveryActor({ sources, pool, options: { retryMinMs: 1, retryMaxMs: 4 } })
    const tells = (...hostnames: ReadonlyArray<string>) =>
      until(`the pool hears ${hostnames.join(" ")}`, () => Bun.deepEquals(told.at(-1), hostnames))
    return { told, messages, tells, handle }
  })

const warnings = (lines: ReadonlyArray<LogLine>): ReadonlyArray<string> =>
  lines.filter((line) => line.level === "WARN").map((line) => line.text)

describe("the set told to the pool", () => {
  test("is the union of all sources, and the first source's address counts", () =>
    runScoped(Effect.gen(function*() {
      const a = scriptedSource("a")
      const b = scriptedSource("b")
      const { messages, tells } = yield* world([a.discovery, b.discovery])
      yield* until("both are followed", () => a.subscriptions() + b.subscriptions() === 2)
      yield* b.list(pod("two", "from b"), pod("three"))
      yield* tells("two", "three")
      yield* a.list(pod("one"), pod("two", "from a"))
      yield* tells("one", "two", "three")
      expect(messages.at(-1)).toEqual({
        _tag: "PodsDiscovered",
        addresses: [pod("one"), pod("two", "from a"), pod("three")]
      })
    })))

  test("keeps the last good set of a source that fails, which is subscribed to again", async () => {
    const lines: Array<LogLine> = []
    await runScoped(
      Effect.gen(function*() {
        const a = scriptedSource("a")
        const b = scriptedSource("b")
        const { tells } = yield* world([a.discovery, b.discovery])
        yield* until("both are followed", () => a.subscriptions() + b.subscriptions() === 2)
        yield* a.list(pod("one"))
        yield* tells("one")
        yield* a.fail("gone")
        yield* until("it is followed again", () => a.subscriptions() === 2)
        yield* b.list(pod("two"))
        yield* tells("one", "two")
        yield* a.list(pod("three"))
        yield* tells("three", "two")
      }),
      lines
    )
    expect(warnings(lines)).toEqual(["a can't be read: a: gone; its last list stays (1 pod)"])
    expect(lines.at(-1)?.text).toBe("a can be read again")
  })

  test("of a source that ends stays, and the source is left alone", () =>
    runScoped(Effect.gen(function*() {
      const a = scriptedSource("a")
      const b = scriptedSource("b")
      const { tells } = yield* world([a.discovery, b.discovery])
      yield* until("both are followed", () => a.subscriptions() + b.subscriptions() === 2)
      yield* a.list(pod("one"))
      yield* a.end
      yield* tells("one")
      yield* b.list(pod("two"))
      yield* tells("one", "two")
      expect(a.subscriptions()).toBe(1)
    })))

  test("becomes empty when a source says so, which is logged", async () => {
    const lines: Array<LogLine> = []
    await runScoped(
      Effect.gen(function*() {
        const a = scriptedSource("a")
        const { tells } = yield* world([a.discovery])
        yield* until("it is followed", () => a.subscriptions() === 1)
        yield* a.list(pod("one"))
        yield* tells("one")
        yield* a.list()
        yield* tells()
      }),
      lines
    )
    expect(warnings(lines)).toEqual(["a lists no pod any more; pods removed: 1"])
  })

  test("waits while the pool's mailbox is full", () =>
    runScoped(Effect.gen(function*() {
      const sources = Array.from({ length: 8 }, (_, index): Discovery => ({
        name: `source ${index}`,
        addresses: Stream.make([pod(`pod-${index}`)])
      }))
      const { tells } = yield* world(sources, 1)
      yield* tells(...sources.map((_, index) => `pod-${index}`))
    })))
})

describe("failures", () => {
  test("are logged once a kind until the source is good again", async () => {
    const lines: Array<LogLine> = []
    await runScoped(
      Effect.gen(function*() {
        let tries = 0
        const source: Discovery = {
          name: "dns",
          addresses: Stream.suspend(() => {
            tries++
            return Stream.fail(new DiscoveryError({ source: "dns", why: tries % 2 === 0 ? "even" : "odd" }))
          })
        }
        yield* world([source])
        yield* until("it was tried often", () => tries > 6)
      }),
      lines
    )
    expect(warnings(lines)).toEqual(["dns can't be read: dns: odd", "dns can't be read: dns: even"])
  })

  test("a defect in a source counts as its failure and spares the others", () =>
    runScoped(Effect.gen(function*() {
      let tries = 0
      const bad: Discovery = { name: "bad", addresses: Stream.suspend(() => Stream.die(`boom ${++tries}`)) }
      const good = scriptedSource("good")
      const { tells } = yield* world([bad, good.discovery])
      yield* until("both were tried", () => tries > 2 && good.subscriptions() === 1)
      yield* good.list(pod("one"))
      yield* tells("one")
    })))
})

describe("the first sets", () => {
  test("are there when every source has listed", () =>
    runScoped(Effect.gen(function*() {
      const a = scriptedSource("a")
      const { handle } = yield* world([
        a.discovery,
        { name: "b", addresses: Stream.concat(Stream.make([pod("two")]), Stream.never) }
      ])
      yield* until("it is followed", () => a.subscriptions() === 1)
      const waiting = yield* Effect.fork(handle.firstSets(5000))
      yield* Effect.sleep(5)
      expect(waiting.unsafePoll()).toBeNull()
      yield* a.list()
      yield* waiting
    })))

  test("fail with the error of a source that could not list", () =>
    runScoped(Effect.gen(function*() {
      const error = new DiscoveryError({ source: "file pods.yaml", why: "no such file" })
      const { handle } = yield* world([{ name: "file", addresses: Stream.fail(error) }])
      expect(yield* Effect.flip(handle.firstSets(5000))).toBe(error)
    })))
})

describe("sources that are replaced", () => {
  test("one that was there before goes on as it is, and the pods of one that is gone leave", () =>
    runScoped(Effect.gen(function*() {
      const a = scriptedSource("a")
      const b = scriptedSource("b")
      const { handle, tells } = yield* world([a.discovery, b.discovery])
      yield* until("both are followed", () => a.subscriptions() + b.subscriptions() === 2)
      yield* a.list(pod("one"))
      yield* b.list(pod("two"))
      yield* tells("one", "two")
      yield* handle.replaceSources([b.discovery])
      yield* tells("two")
      expect(b.subscriptions()).toBe(1)
      yield* b.list(pod("two"), pod("three"))
      yield* tells("two", "three")
    })))

  test("the pods of before stay until a new one has listed its own, even when it fails at first", async () => {
    const lines: Array<LogLine> = []
    await runScoped(
      Effect.gen(function*() {
        const a = scriptedSource("a")
        const b = scriptedSource("b")
        const { handle, tells } = yield* world([a.discovery])
        yield* until("it is followed", () => a.subscriptions() === 1)
        yield* a.list(pod("one"))
        yield* tells("one")
        yield* handle.replaceSources([b.discovery])
        yield* until("the new one is followed", () => b.subscriptions() === 1)
        yield* b.fail("no such name")
        yield* until("it is asked again", () => b.subscriptions() === 2)
        yield* tells("one")
        yield* b.list(pod("two"))
        yield* tells("two")
      }),
      lines
    )
    expect(warnings(lines)).toEqual(["b can't be read: b: no such name; the pods of before stay until it can be"])
  })

  test("a new one of the same name begins with what the old one said last", () =>
    runScoped(Effect.gen(function*() {
      const before = scriptedSource("dns pods")
      const after = scriptedSource("dns pods")
      const other = scriptedSource("static")
      const { handle, tells } = yield* world([other.discovery, before.discovery])
      yield* until("both are followed", () => other.subscriptions() + before.subscriptions() === 2)
      yield* before.list(pod("one"))
      yield* tells("one")
      yield* handle.replaceSources([other.discovery, after.discovery])
      yield* other.list(pod("two"))
      yield* tells("two", "one")
      yield* until("the new one is followed", () => after.subscriptions() === 1)
      yield* after.list(pod("three"))
      yield* tells("two", "three")
    })))

  test("what an old one still says is passed over", () =>
    runScoped(Effect.gen(function*() {
      const a = scriptedSource("a")
      const b = scriptedSource("b")
      const { handle, tells, told } = yield* world([a.discovery])
      yield* until("it is followed", () => a.subscriptions() === 1)
      yield* handle.replaceSources([b.discovery])
      yield* until("the new one is followed", () => b.subscriptions() === 1)
      yield* a.list(pod("late"))
      yield* b.list(pod("one"))
      yield* tells("one")
      expect(told.flat()).not.toContain("late")
    })))
})
