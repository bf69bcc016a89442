import { describe, expect, test } from "bun:test"
import { Effect, Exit, Logger, Scope } from "effect"
import { podActorDefaults } from "../../actors/PodActorOptions.ts"
import type { PoolOptions } from "../../actors/PoolMessages.ts"
import { makePoolSupervisor } from "../../actors/PoolSupervisor.ts"
import type { EngineConstants } from "../../src/core/EngineConstants.ts"
import type { PodAddress, PodId } from "../../src/core/Pod.ts"
import type { PodRecord } from "../../src/storage/SnapshotStore.ts"
import { makePodProbe, type PodProbe } from "../../src/vllm/PodProbe.ts"
import { type LogLine, runScoped, until } from "./actorTools.ts"
import { constants, schedulerInbox, sketchOf } from "./schedulerInbox.ts"
import { type WebPod, webPod } from "./webPod.ts"

const options: PoolOptions = {
  podsMax: 8,
  drainGraceMs: 60_000,
  podRetryMs: 5,
  mailboxCapacity: 64,
  pod: { ...podActorDefaults, scrapeIntervalMs: 5, restartsMax: 2, backoffMinMs: 1, backoffMaxMs: 1 }
}

interface PoolSetup {
  readonly changes?: Partial<PoolOptions>
  readonly probe?: PodProbe
  readonly restored?: ReadonlyArray<PodRecord>
  readonly constantsFor?: (address: PodAddress) => EngineConstants
}

/** What a defect of ours would do: the pod's actor throws on every scrape. */
const poisonedProbe = (isPoisoned: (address: PodAddress) => boolean): PodProbe => {
  const real = makePodProbe()
  return {
    ...real,
    metrics: async (address, timeoutMs) => {
      const metrics = await real.metrics(address, timeoutMs)
      const get = () => {
        throw new Error("poison")
      }
      return isPoisoned(address) ? Object.defineProperty(metrics, "processStartS", { get }) : metrics
    }
  }
}

/** Has `heard` told every line of the log as it is written. */
const hearing = (heard: (line: string) => void) =>
  Effect.provide(Logger.add(Logger.make(({ message }) => heard(String(message)))))

const poolWorld = (
  { changes = {}, constantsFor = () => constants, probe = makePodProbe(), restored = [] }: PoolSetup = {}
) =>
  Effect.gen(function*() {
    const inbox = yield* schedulerInbox()
    const scope = yield* Scope.fork(yield* Effect.scope, { _tag: "Sequential" })
    const pool = yield* Scope.extend(
      makePoolSupervisor({
        probe,
        scheduler: inbox.ref,
        constantsFor,
        restored,
        options: { ...options, ...changes }
      }),
      scope
    )
    const discover = (...pods: ReadonlyArray<WebPod | PodAddress>) =>
      pool.ref.tell({
        _tag: "PodsDiscovered",
        addresses: pods.map((pod) => "address" in pod ? pod.address : pod)
      })
    const healthOf = (pod: WebPod): string | undefined =>
      pool.view.pods().find((status) => status.address.id === pod.address.id)?.health
    const healthy = (...pods: ReadonlyArray<WebPod>) =>
      until("they are healthy", () => pods.every((pod) => healthOf(pod) === "healthy"))
    return { inbox, scope, pool, discover, healthOf, healthy }
  })

describe("the set of pods", () => {
  test("a discovered pod gets an actor, and the union of models is in the view by id", () =>
    runScoped(Effect.gen(function*() {
      const a = yield* webPod({ models: ["zephyr", "qwen"] })
      const b = yield* webPod({ models: ["llama", "qwen"] })
      const { discover, healthy, pool } = yield* poolWorld()
      yield* discover(a, b)
      yield* healthy(a, b)
      expect(pool.view.models().map((card) => card.id)).toEqual(["llama", "qwen", "zephyr"])
      expect(pool.podsSeen().map((seen) => [seen.id, seen.models])).toEqual([
        [a.address.id, ["zephyr", "qwen"]],
        [b.address.id, ["llama", "qwen"]]
      ])
    })))

  test("the same set again starts nothing anew", () =>
    runScoped(Effect.gen(function*() {
      const a = yield* webPod()
      const { discover, healthy, inbox } = yield* poolWorld()
      yield* discover(a)
      yield* healthy(a)
      const b = yield* webPod()
      yield* discover(a, b)
      yield* healthy(a, b)
      expect(inbox.story(a.address.id).filter((word) => word === "PodJoined")).toHaveLength(1)
      expect(inbox.accepting(a.address.id)).toBe(true)
    })))

  test("a removed pod takes nothing new at once and leaves when it is idle", () =>
    runScoped(Effect.gen(function*() {
      const a = yield* webPod({ running: 1 })
      const b = yield* webPod()
      const { discover, healthOf, healthy, inbox } = yield* poolWorld()
      yield* discover(a, b)
      yield* healthy(a, b)
      yield* discover(b)
      yield* until("it drains", () => healthOf(a) === "draining" && !inbox.accepting(a.address.id))
      expect(inbox.story(a.address.id)).not.toContain("PodLeft")
      a.answers.running = 0
      yield* until("it left", () => inbox.story(a.address.id).includes("PodLeft"))
      yield* until("it is out of the view", () => healthOf(a) === undefined)
      expect(healthOf(b)).toBe("healthy")
    })))

  test("a removed pod that never is idle leaves after the grace", () =>
    runScoped(Effect.gen(function*() {
      const a = yield* webPod({ running: 1 })
      const { discover, healthOf, healthy } = yield* poolWorld({ changes: { drainGraceMs: 30 } })
      yield* discover(a)
      yield* healthy(a)
      yield* discover()
      yield* until("it left", () => healthOf(a) === undefined)
    })))

  test("a pod that is back before it had drained keeps its actor", () =>
    runScoped(Effect.gen(function*() {
      const a = yield* webPod({ running: 1 })
      const { discover, healthOf, healthy, inbox } = yield* poolWorld({ changes: { drainGraceMs: 100 } })
      yield* discover(a)
      yield* healthy(a)
      yield* discover()
      yield* until("it drains", () => healthOf(a) === "draining")
      yield* discover(a)
      yield* healthy(a)
      yield* Effect.sleep(150)
      expect(healthOf(a)).toBe("healthy")
      expect(inbox.story(a.address.id)).not.toContain("PodLeft")
    })))

  test("a pod whose preset changes keeps its actor and its sketch, and is priced anew", () =>
    runScoped(Effect.gen(function*() {
      const a = yield* webPod()
      const faster = { ...constants, prefillTokenS: 1e-6 }
      const { discover, healthy, inbox } = yield* poolWorld({
        constantsFor: ({ preset }) => preset === "other" ? faster : constants
      })
      yield* discover(a)
      yield* healthy(a)
      yield* discover({ ...a.address, preset: "other" })
      yield* until("it is recalibrated", () => inbox.story(a.address.id).includes("PodRecalibrated"))
      expect(inbox.messages).toContainEqual({ _tag: "PodRecalibrated", id: a.address.id, constants: faster })
      expect(inbox.story(a.address.id)).not.toContain("PodLeft")
    })))

  test("new settings reach the pods that are there: how often they are asked, and how fast they are", () =>
    runScoped(Effect.gen(function*() {
      const a = yield* webPod()
      const slow = { ...options.pod, scrapeIntervalMs: 60_000 }
      const { discover, healthy, inbox, pool } = yield* poolWorld({ changes: { pod: slow } })
      yield* discover(a)
      yield* healthy(a)
      const same = { constantsFor: () => constants, drainGraceMs: 1000, pod: slow }
      yield* pool.ref.tell({ _tag: "PoolSettingsReplaced", settings: same })
      const slower = { ...constants, prefillTokenS: 1 }
      yield* pool.ref.tell({ _tag: "PoolSettingsReplaced", settings: { ...same, constantsFor: () => slower } })
      yield* until("it is recalibrated", () => inbox.story(a.address.id).includes("PodRecalibrated"))
      expect(inbox.messages.filter(({ _tag }) => _tag === "PodRecalibrated")).toEqual([
        { _tag: "PodRecalibrated", id: a.address.id, constants: slower }
      ])
    })))

  test("a pod whose labels change keeps its actor, and the scheduler hears of them", () =>
    runScoped(Effect.gen(function*() {
      const a = yield* webPod()
      const { discover, healthy, inbox, pool } = yield* poolWorld()
      yield* discover(a)
      yield* healthy(a)
      yield* discover({ ...a.address, labels: { tier: "gold" } })
      yield* until(
        "the labels arrived",
        () =>
          inbox.messages.some((message) => message._tag === "PodJoined" && message.address.labels?.["tier"] === "gold")
      )
      expect(inbox.story(a.address.id)).not.toContain("PodLeft")
      expect(pool.view.pods()[0]?.address.labels).toEqual({ tier: "gold" })
    })))

  test("pods beyond the limit are refused by name, and taken when there is room", async () => {
    const lines: Array<LogLine> = []
    await runScoped(
      Effect.gen(function*() {
        const a = yield* webPod()
        const b = yield* webPod()
        const { discover, healthOf, healthy } = yield* poolWorld({ changes: { podsMax: 1 } })
        yield* discover(a, b)
        yield* discover(a, b)
        yield* healthy(a)
        expect(healthOf(b)).toBeUndefined()
        const refusals = lines.filter((line) => line.level === "WARN").map((line) => line.text)
        expect(refusals).toEqual([
          `the pool has its 1 pod (limits.podsMax), so these are left out: ${b.address.id}`
        ])
        yield* discover(b)
        yield* healthy(b)
        expect(healthOf(a)).toBeUndefined()
      }),
      lines
    )
  })

  test("a saved sketch goes to its pod once, not to a later life of the pod", () =>
    runScoped(Effect.gen(function*() {
      const a = yield* webPod()
      const { id } = a.address
      const sketch = sketchOf(id, 9)
      const record = { id, savedAtMs: 1, sketch, lastState: { models: ["qwen"] } }
      const { discover, healthOf, healthy, inbox } = yield* poolWorld({ restored: [record] })
      yield* discover(a)
      yield* healthy(a)
      yield* discover()
      yield* until("it left", () => healthOf(a) === undefined)
      yield* discover(a)
      yield* healthy(a)
      const joins = inbox.messages.flatMap((message) => message._tag === "PodJoined" ? [message.restored] : [])
      expect(joins).toEqual([sketch, undefined])
    })))

  test("closing the scope stops every pod", () =>
    runScoped(Effect.gen(function*() {
      const a = yield* webPod()
      const b = yield* webPod()
      const { discover, healthy, inbox, scope } = yield* poolWorld()
      yield* discover(a, b)
      yield* healthy(a, b)
      yield* Scope.close(scope, Exit.void)
      const last = () => [a, b].map((pod) => inbox.story(pod.address.id).at(-1))
      yield* until("both left", () => Bun.deepEquals(last(), ["PodLeft", "PodLeft"]))
    })))
})

describe("trouble with one pod", () => {
  test("an actor that spends its restart budget is out and tried again later; other pods never notice", async () => {
    const lines: Array<LogLine> = []
    await runScoped(
      Effect.gen(function*() {
        const bad = yield* webPod()
        const good = yield* webPod()
        let poisoned = true
        const probe = poisonedProbe(({ id }) => poisoned && id === bad.address.id)
        const { discover, healthOf, healthy, inbox, pool } = yield* poolWorld({ changes: { podRetryMs: 50 }, probe })
        yield* discover(bad, good)
        yield* until("it is out", () => healthOf(bad) === "unhealthy")
        const status = pool.view.pods().find(({ address }) => address.id === bad.address.id)
        expect(status?.reason).toContain("its actor gave up: it crashed more than 2 times")
        yield* until("the scheduler knows", () => inbox.story(bad.address.id).at(-1) === "PodLeft")
        poisoned = false
        yield* healthy(bad, good)
        expect(inbox.story(good.address.id)).toEqual(["PodJoined", "PodObserved-", "PodDescribed", "PodObserved+"])
      }),
      lines
    )
    expect(lines.some((line) => line.level === "ERROR" && line.text.includes("its actor gave up"))).toBe(true)
  })

  test("one that gives up as its address changes is gone for the scheduler before it joins anew", () => {
    let gaveUp = () => {}
    return runScoped(
      Effect.gen(function*() {
        const bad = yield* webPod()
        const { discover, inbox, pool } = yield* poolWorld({
          changes: { podRetryMs: 60_000 },
          probe: poisonedProbe(({ tls }) => !tls)
        })
        const changed = { _tag: "PodsDiscovered", addresses: [{ ...bad.address, tls: true }] } as const
        gaveUp = () => void pool.ref.unsafeTell(changed)
        yield* discover(bad)
        const turns = () => inbox.story(bad.address.id).filter((word) => word === "PodJoined" || word === "PodLeft")
        yield* until("it joins anew", () => turns().filter((word) => word === "PodJoined").length === 2)
        expect(turns()).toEqual(["PodJoined", "PodLeft", "PodJoined"])
      }).pipe(hearing((line) => {
        // Before the pool hears of it.
        if (line.includes("stays down")) gaveUp()
      }))
    )
  })

  test("one that was removed, came back and gave up again is out for the whole time", () => {
    const startsMs: Array<number> = []
    const outMs: Array<number> = []
    return runScoped(
      Effect.gen(function*() {
        const bad = yield* webPod()
        const { discover, healthOf } = yield* poolWorld({
          changes: { podRetryMs: 400 },
          probe: poisonedProbe(() => true),
          constantsFor: () => {
            startsMs.push(performance.now())
            return constants
          }
        })
        yield* discover(bad)
        yield* until("it is out", () => outMs.length === 1)
        yield* Effect.sleep(200)
        yield* discover()
        yield* until("it is removed", () => healthOf(bad) === undefined)
        yield* discover(bad)
        yield* until("it is out again and is given a third actor", () => startsMs.length === 3)
        // Timers keep whole milliseconds.
        expect((startsMs[2] ?? 0) - (outMs[1] ?? Infinity)).toBeGreaterThan(398)
      }).pipe(hearing((line) => {
        if (line.includes("is out for")) outMs.push(performance.now())
      }))
    )
  })

  test("a pod whose actor can't be made is out and tried again later; the supervisor goes on", async () => {
    const lines: Array<LogLine> = []
    await runScoped(
      Effect.gen(function*() {
        const bad = yield* webPod()
        const good = yield* webPod()
        let throwsLeft = 7
        const constantsFor = ({ id }: PodAddress): EngineConstants => {
          if (id === bad.address.id && throwsLeft-- > 0) throw new Error("poison")
          return constants
        }
        const { discover, healthOf, healthy, pool } = yield* poolWorld({ changes: { podRetryMs: 50 }, constantsFor })
        yield* discover(bad, good)
        yield* until("it is out", () => healthOf(bad) === "unhealthy")
        const status = pool.view.pods().find(({ address }) => address.id === bad.address.id)
        expect(status?.reason).toBe("its actor could not start")
        yield* healthy(bad, good)
      }),
      lines
    )
    const errors = lines.filter(({ level }) => level === "ERROR").map(({ text }) => text)
    expect(errors.some((text) => text.endsWith("could not start"))).toBe(true)
    expect(errors.filter((text) => text.includes("crashed"))).toEqual([])
  })

  test("failed dispatches reach their pod and nobody else; unknown ids are passed over", () =>
    runScoped(Effect.gen(function*() {
      const a = yield* webPod()
      const b = yield* webPod()
      const slow = { ...options.pod, scrapeIntervalMs: 3_600_000 }
      const { discover, healthy, inbox, pool } = yield* poolWorld({ changes: { pod: slow } })
      yield* discover(a, b)
      yield* healthy(a, b)
      a.answers.healthStatus = 503
      pool.podFailed("10.0.0.1:1" as PodId, "unknown")
      for (let count = 0; count < slow.unhealthyAfterDispatches; count++) pool.podFailed(a.address.id, "refused")
      yield* until("it is closed", () => !inbox.accepting(a.address.id))
      expect(inbox.accepting(b.address.id)).toBe(true)
    })))
})
