import { describe, expect, test } from "bun:test"
import { Effect, Exit, Scope } from "effect"
import { AwayPods } from "../../actors/AwayPods.ts"
import { makePodActor, type PodHandle } from "../../actors/PodActor.ts"
import { podActorDefaults, type PodActorOptions } from "../../actors/PodActorOptions.ts"
import type { PodRecord } from "../../src/storage/SnapshotStore.ts"
import { makePodProbe } from "../../src/vllm/PodProbe.ts"
import { type LogLine, runScoped, until } from "./actorTools.ts"
import { constants, type SchedulerInbox, schedulerInbox, sketchOf } from "./schedulerInbox.ts"
import { type WebPod, webPod, type WebPodAnswers } from "./webPod.ts"

const fast: PodActorOptions = { ...podActorDefaults, scrapeIntervalMs: 5, scrapeTimeoutMs: 2000 }
/** The second scrape comes only when something asks for it. */
const slow: PodActorOptions = { ...fast, scrapeIntervalMs: 3_600_000 }
const processStartS = 1_700_000_000

interface World {
  readonly web: WebPod
  readonly pod: PodHandle
  readonly inbox: SchedulerInbox
  readonly scope: Scope.CloseableScope
  readonly idle: () => number
}

interface WorldSetup {
  readonly answers?: Partial<WebPodAnswers>
  readonly options?: PodActorOptions
  readonly restored?: (id: string) => PodRecord
}

const world = ({ answers = {}, options = fast, restored }: WorldSetup = {}) =>
  Effect.gen(function*() {
    const web = yield* webPod(answers)
    const inbox = yield* schedulerInbox()
    const scope = yield* Scope.fork(yield* Effect.scope, { _tag: "Sequential" })
    let idle = 0
    const pod = yield* Scope.extend(
      makePodActor({
        address: web.address,
        constants,
        probe: makePodProbe({ pageBytesMax: 1024 * 1024 }),
        scheduler: inbox.ref,
        restored: restored?.(web.address.id),
        onIdle: Effect.sync(() => void idle++),
        away: new AwayPods(),
        options
      }),
      scope
    )
    return { web, pod, inbox, scope, idle: () => idle } satisfies World
  })

const accepting = ({ inbox, web }: World) => until("it accepts", () => inbox.accepting(web.address.id))
const refusing = ({ inbox, web }: World) => until("it refuses", () => !inbox.accepting(web.address.id))
const scrapes = ({ web }: World): number => web.seen.get("/metrics") ?? 0
const moreScrapes = (world: World, count = 3) => {
  const enough = scrapes(world) + count
  return until("more scrapes", () => scrapes(world) >= enough)
}
const warnings = (lines: ReadonlyArray<LogLine>): ReadonlyArray<string> =>
  lines.filter((line) => line.level === "WARN").map((line) => line.text)

describe("start and stop", () => {
  test("the scheduler hears that the pod joined, what it is, and that it accepts, at the first scrape", () =>
    runScoped(Effect.gen(function*() {
      const here = yield* world({ options: slow, answers: { models: ["qwen", "qwen-lora"], blockSizeTokens: 32 } })
      yield* accepting(here)
      const { address } = here.web
      expect(here.inbox.story(address.id)).toEqual(["PodJoined", "PodObserved-", "PodDescribed", "PodObserved+"])
      expect(here.inbox.messages).toContainEqual({ _tag: "PodJoined", address, constants, restored: undefined })
      expect(here.inbox.messages).toContainEqual({
        _tag: "PodDescribed",
        id: address.id,
        blockSizeTokens: 32,
        kvCapacityTokens: 31_968,
        models: ["qwen", "qwen-lora"]
      })
      expect(here.pod.status()).toMatchObject({ health: "healthy", version: "0.32.0", reason: undefined })
      expect(here.pod.status().models.map((card) => card.id)).toEqual(["qwen", "qwen-lora"])
    })))

  test("PodLeft is the last that the scheduler hears", () =>
    runScoped(Effect.gen(function*() {
      const here = yield* world()
      yield* accepting(here)
      yield* Scope.close(here.scope, Exit.void)
      yield* until("it left", () => here.inbox.story(here.web.address.id).includes("PodLeft"))
      const seen = scrapes(here)
      yield* Effect.sleep(30)
      expect(here.inbox.story(here.web.address.id).at(-1)).toBe("PodLeft")
      expect(scrapes(here)).toBe(seen)
    })))

  test("what must arrive takes the reserved room when the scheduler's mailbox is full", () =>
    runScoped(Effect.gen(function*() {
      const web = yield* webPod()
      const inbox = yield* schedulerInbox(0)
      yield* makePodActor({
        address: web.address,
        constants,
        probe: makePodProbe(),
        scheduler: inbox.ref,
        restored: undefined,
        onIdle: Effect.void,
        away: new AwayPods(),
        options: slow
      })
      yield* until("it accepts", () => inbox.accepting(web.address.id))
      expect(inbox.story(web.address.id)).toEqual(["PodJoined", "PodDescribed", "PodObserved+"])
    })))
})

describe("scraping", () => {
  test("each scrape reaches the scheduler", () =>
    runScoped(Effect.gen(function*() {
      const here = yield* world()
      yield* accepting(here)
      here.web.answers.running = 7
      here.web.answers.waiting = 3
      const { id } = here.web.address
      const observed = {
        _tag: "PodObserved",
        id,
        accepting: true,
        strained: false,
        running: 7,
        waiting: 3,
        kvUsage: 0.25
      }
      yield* until("the numbers", () => here.inbox.messages.some((message) => Bun.deepEquals(message, observed)))
    })))

  test("a scrape starts only after the one before has ended", () =>
    runScoped(Effect.gen(function*() {
      const here = yield* world({ options: { ...fast, scrapeIntervalMs: 0 } })
      here.web.answers.hostilePage = () => Bun.sleep(15).then(() => new Response("late"))
      yield* moreScrapes(here, 5)
      expect(here.web.scrapesAtOnce()).toBe(1)
    })))

  const hostilePages: Record<string, () => Response | Promise<Response>> = {
    "hangs for ever": () => new Promise<Response>(() => {}),
    "is garbage": () => new Response(Uint8Array.from({ length: 4096 }, (_, index) => index * 31)),
    "has 50 MB": () => new Response(new Uint8Array(50 * 1024 * 1024).fill(65)),
    "has the wrong type": () => Response.json({ running: 1 }),
    "ends in mid-line": () => new Response("vllm:num_requests_running{eng"),
    "is an error": () => new Response("no", { status: 500 })
  }
  for (const [what, hostilePage] of Object.entries(hostilePages)) {
    test(`a page that ${what} costs the pod one warning and nothing else`, async () => {
      const lines: Array<LogLine> = []
      await runScoped(
        Effect.gen(function*() {
          const here = yield* world({ options: { ...fast, scrapeTimeoutMs: 300 } })
          yield* accepting(here)
          here.web.answers.hostilePage = hostilePage
          yield* moreScrapes(here, 6)
          expect(here.inbox.accepting(here.web.address.id)).toBe(true)
          expect(here.pod.status().health).toBe("healthy")
          here.web.answers.hostilePage = undefined
          yield* moreScrapes(here)
          expect(here.inbox.story(here.web.address.id).at(-1)).toBe("PodObserved+")
        }),
        lines
      )
      expect(warnings(lines)).toEqual([expect.stringContaining("/metrics: ")])
      expect(lines.find((line) => line.level === "WARN")?.annotations["pod"]).toMatch(/^127\.0\.0\.1:\d+$/)
    })
  }

  test("a pod whose page never was readable serves with the geometry of its preset", () =>
    runScoped(Effect.gen(function*() {
      const here = yield* world({ answers: { hostilePage: () => new Response("none", { status: 404 }) } })
      yield* accepting(here)
      expect(here.inbox.messages).toContainEqual({
        _tag: "PodDescribed",
        id: here.web.address.id,
        blockSizeTokens: 16,
        kvCapacityTokens: constants.kvCapacityTokens,
        models: ["qwen"]
      })
    })))
})

describe("health", () => {
  test("a pod that is gone is unhealthy after so many scrapes, and healthy again when it is back", async () => {
    const lines: Array<LogLine> = []
    await runScoped(
      Effect.gen(function*() {
        const here = yield* world()
        yield* accepting(here)
        yield* Effect.promise(() => here.web.stop())
        yield* refusing(here)
        expect(here.pod.status()).toMatchObject({ health: "unhealthy", reason: expect.stringContaining("/health") })
        here.web.start()
        yield* accepting(here)
        expect(here.pod.status().health).toBe("healthy")
      }),
      lines
    )
    expect(warnings(lines).filter((text) => text.includes("is unhealthy and gets no requests"))).toHaveLength(1)
  })

  test("what a pod told last of its load is no news any more once it is gone", () =>
    runScoped(Effect.gen(function*() {
      const here = yield* world({ answers: { running: 3 } })
      const lastRunning = () => here.inbox.messages.findLast((message) => message._tag === "PodObserved")?.running
      yield* accepting(here)
      yield* until("it told its load", () => lastRunning() === 3)
      yield* Effect.promise(() => here.web.stop())
      yield* refusing(here)
      expect(lastRunning()).toBe(0)
      here.web.start()
      yield* accepting(here)
      yield* until("it tells its load again", () => lastRunning() === 3)
    })))

  test("a pod that goes to and fro writes a few lines, then how many more there were", async () => {
    const lines: Array<LogLine> = []
    await runScoped(
      Effect.gen(function*() {
        const here = yield* world({ options: { ...fast, modelsEveryScrapes: 1, warnEveryMs: 400 } })
        yield* accepting(here)
        const told = () => lines.some(({ text }) => text.includes("goes to and fro"))
        for (let turns = 0; turns < 500 && !told(); turns++) {
          here.web.answers.healthStatus = turns % 2 === 0 ? 503 : 200
          yield* turns % 2 === 0 ? refusing(here) : accepting(here)
        }
      }),
      lines
    )
    const turns = lines.map(({ text }) => text).filter((text) => /is (un)?healthy/.test(text))
    expect(turns.slice(0, 5)).toEqual([
      expect.stringMatching(/is healthy and serves/),
      expect.stringMatching(/is unhealthy and gets no requests/),
      expect.stringMatching(/is healthy and serves/),
      expect.stringMatching(/is unhealthy and gets no requests.* \(what follows within 0 s is counted\)$/),
      expect.stringMatching(/goes to and fro and is (un)?healthy now; further changes meanwhile: [1-9]/)
    ])
  })

  test("a pod that is gone is told once, however long it stays away", async () => {
    const lines: Array<LogLine> = []
    await runScoped(
      Effect.gen(function*() {
        const here = yield* world({ options: { ...fast, warnEveryMs: 1 } })
        yield* accepting(here)
        yield* Effect.promise(() => here.web.stop())
        yield* refusing(here)
        const told = lines.length
        yield* Effect.sleep(20 * fast.scrapeIntervalMs)
        expect(lines.slice(told)).toEqual([])
        expect(warnings(lines).filter((text) => text.includes("is unhealthy and gets no requests"))).toHaveLength(1)
      }),
      lines
    )
  })

  test("one failed scrape less than the limit changes nothing", () =>
    runScoped(Effect.gen(function*() {
      const here = yield* world()
      yield* accepting(here)
      let failing = 2
      here.web.answers.hostilePage = () => {
        if (--failing === 0) here.web.answers.hostilePage = undefined
        return new Response("no", { status: 500 })
      }
      yield* moreScrapes(here, 5)
      expect(here.inbox.story(here.web.address.id).at(-1)).toBe("PodObserved+")
      expect(here.inbox.story(here.web.address.id).filter((word) => word === "PodObserved-")).toHaveLength(1)
    })))

  test("a pod that says at the regular check that it can't work gets no requests", () =>
    runScoped(Effect.gen(function*() {
      const here = yield* world({ options: { ...fast, modelsEveryScrapes: 3 } })
      yield* accepting(here)
      here.web.answers.healthStatus = 503
      yield* refusing(here)
      here.web.answers.healthStatus = 200
      yield* accepting(here)
    })))

  test("a sleeping pod gets no requests, and its cache counts as lost", () =>
    runScoped(Effect.gen(function*() {
      const here = yield* world()
      yield* accepting(here)
      here.web.answers.awake = false
      yield* refusing(here)
      expect(here.pod.status()).toMatchObject({ health: "unhealthy", reason: "it sleeps" })
      expect(here.inbox.story(here.web.address.id).slice(-2)).toEqual(["PodRestarted", "PodObserved-"])
      here.web.answers.awake = true
      yield* accepting(here)
    })))

  test("new models are learned at the regular check", () =>
    runScoped(Effect.gen(function*() {
      const here = yield* world({ options: { ...fast, modelsEveryScrapes: 3 } })
      yield* accepting(here)
      here.web.answers.models = ["qwen", "adapter"]
      yield* until("the models", () =>
        here.inbox.messages.some((message) => message._tag === "PodDescribed" && message.models.includes("adapter")))
      expect(here.inbox.messages.filter((message) =>
        message._tag === "PodDescribed"
      )).toHaveLength(2)
    })))
})

describe("a restart of the pod", () => {
  test("is seen when its process start time changes", () =>
    runScoped(Effect.gen(function*() {
      const here = yield* world()
      yield* accepting(here)
      here.web.answers.processStartS += 60
      yield* until("it is told", () => here.inbox.story(here.web.address.id).includes("PodRestarted"))
      yield* moreScrapes(here)
      expect(here.inbox.messages.filter((message) => message._tag === "PodRestarted")).toHaveLength(1)
    })))

  test("is seen when a counter goes back", () =>
    runScoped(Effect.gen(function*() {
      const here = yield* world({ answers: { promptTokens: 500 } })
      yield* accepting(here)
      here.web.answers.promptTokens = 20
      yield* until("it is told", () => here.inbox.story(here.web.address.id).includes("PodRestarted"))
    })))

  const recordOf = (startS: number | undefined) => (id: string): PodRecord => ({
    id,
    savedAtMs: 1,
    sketch: sketchOf(id, 1, 2, 3),
    lastState: { processStartS: startS, models: ["qwen"] }
  })

  test("a restored sketch stays when the pod is the same process as in the snapshot", () =>
    runScoped(Effect.gen(function*() {
      const here = yield* world({ restored: recordOf(processStartS) })
      yield* accepting(here)
      const { id } = here.web.address
      expect(here.inbox.messages[0]).toMatchObject({ _tag: "PodJoined", restored: sketchOf(id, 1, 2, 3) })
      expect(here.inbox.story(id)).not.toContain("PodRestarted")
    })))

  test("a restored sketch of a pod that had not told its process is dropped as soon as the pod tells one", () =>
    runScoped(Effect.gen(function*() {
      const here = yield* world({ restored: recordOf(undefined) })
      yield* accepting(here)
      yield* moreScrapes(here)
      const story = here.inbox.story(here.web.address.id)
      expect(story.slice(0, 2)).toEqual(["PodJoined", "PodRestarted"])
      expect(story.filter((word) => word === "PodRestarted")).toHaveLength(1)
    })))

  test("a restored sketch is dropped before the pod accepts when it is another process", () =>
    runScoped(Effect.gen(function*() {
      const here = yield* world({ restored: recordOf(processStartS - 60) })
      yield* accepting(here)
      const story = here.inbox.story(here.web.address.id)
      expect(story.slice(0, 2)).toEqual(["PodJoined", "PodRestarted"])
    })))
})

describe("failed dispatches", () => {
  const failed = { _tag: "DispatchFailed", why: "connection refused" } as const

  const failOften = (here: World): void => {
    for (let count = 0; count < slow.unhealthyAfterDispatches; count++) here.pod.ref.unsafeTell(failed)
  }

  test("so many without a good scrape between have the pod asked at once, and close it when it can't work", () =>
    runScoped(Effect.gen(function*() {
      const here = yield* world({ options: slow })
      yield* accepting(here)
      here.web.answers.healthStatus = 503
      failOften(here)
      yield* refusing(here)
      expect(here.pod.status()).toMatchObject({ health: "unhealthy", reason: expect.stringContaining("/health") })
    })))

  test("close a pod that does not answer at once, without waiting for further scrapes", () =>
    runScoped(Effect.gen(function*() {
      const here = yield* world({ options: slow })
      yield* accepting(here)
      yield* Effect.promise(() => here.web.stop())
      failOften(here)
      yield* refusing(here)
      expect(here.pod.status().reason).toContain("a request there failed: connection refused")
    })))

  test("do not close a pod whose /health is good: that is its breaker's part, and the pod does not flap", () =>
    runScoped(Effect.gen(function*() {
      const here = yield* world({ options: slow })
      yield* accepting(here)
      const asked = here.web.seen.get("/health") ?? 0
      failOften(here)
      yield* until("a look at /health", () => (here.web.seen.get("/health") ?? 0) > asked)
      yield* moreScrapes(here, 0)
      expect(here.pod.status().health).toBe("healthy")
      expect(here.inbox.story(here.web.address.id).filter((word) => word === "PodObserved-")).toHaveLength(1)
    })))

  test("fewer, or with a good scrape between, change nothing", () =>
    runScoped(Effect.gen(function*() {
      const here = yield* world()
      yield* accepting(here)
      for (let round = 0; round < 3; round++) {
        for (let count = 1; count < fast.unhealthyAfterDispatches; count++) here.pod.ref.unsafeTell(failed)
        yield* moreScrapes(here)
      }
      expect(here.inbox.story(here.web.address.id).at(-1)).toBe("PodObserved+")
      expect(here.inbox.story(here.web.address.id).filter((word) => word === "PodObserved-")).toHaveLength(1)
    })))
})

describe("drain", () => {
  test("a draining pod gets no new requests and says when it is idle", () =>
    runScoped(Effect.gen(function*() {
      const here = yield* world({ answers: { running: 1 } })
      yield* accepting(here)
      yield* here.pod.ref.tell({ _tag: "Drain" })
      yield* refusing(here)
      expect(here.pod.status().health).toBe("draining")
      yield* moreScrapes(here, 5)
      expect(here.idle()).toBe(0)
      here.web.answers.running = 0
      yield* until("it is idle", () => here.idle() === 1)
    })))

  test("a drain that is taken back opens the pod again", () =>
    runScoped(Effect.gen(function*() {
      const here = yield* world({ answers: { running: 1 } })
      yield* accepting(here)
      yield* here.pod.ref.tell({ _tag: "Drain" })
      yield* refusing(here)
      yield* here.pod.ref.tell({ _tag: "Undrain" })
      yield* accepting(here)
      expect(here.pod.status().health).toBe("healthy")
    })))
})
