import { describe, expect, test } from "bun:test"
import { Effect, Exit, Scope } from "effect"
import type { PodSeen } from "../../actors/PoolEntry.ts"
import { makeSnapshotActor, snapshotActorDefaults, type SnapshotReport } from "../../actors/SnapshotActor.ts"
import type { PodId } from "../../src/core/Pod.ts"
import { type MetaRecord, type PodRecord, SnapshotError } from "../../src/storage/SnapshotStore.ts"
import { type LogLine, runScoped, until } from "./actorTools.ts"
import { schedulerInbox, sketchOf } from "./schedulerInbox.ts"

const seen = (id: string, tokensTotal = 0): PodSeen => ({
  id: id as PodId,
  processStartS: 17,
  tokensTotal,
  models: ["qwen"]
})

/** A pod that does not count its tokens, so that nobody knows whether it has worked. */
const mute = (id: string): PodSeen => ({ ...seen(id), tokensTotal: undefined })

/** A store in memory that can be told to fail. */
const memoryStore = () => {
  const pods = new Map<string, PodRecord>()
  const saves: Array<ReadonlyArray<string>> = []
  const metas: Array<MetaRecord> = []
  const store = {
    broken: undefined as string | undefined,
    pods,
    saves,
    metas,
    load: Effect.succeed({ pods: [], meta: undefined }),
    save: (records: ReadonlyArray<PodRecord>, meta: MetaRecord | undefined) =>
      Effect.suspend(() => {
        if (store.broken !== undefined) return Effect.fail(new SnapshotError({ path: "s.db", why: store.broken }))
        if (records.length > 0) saves.push(records.map((record) => record.id))
        for (const record of records) pods.set(record.id, record)
        if (meta !== undefined) metas.push(meta)
        return Effect.void
      }),
    remove: (ids: ReadonlyArray<string>) =>
      Effect.sync(() => {
        for (const id of ids) pods.delete(id)
      })
  }
  return store
}

interface Setup {
  readonly options?: Partial<typeof snapshotActorDefaults>
  readonly restoredIds?: ReadonlyArray<string>
}

const world = ({ options = {}, restoredIds = [] }: Setup = {}) =>
  Effect.gen(function*() {
    const inbox = yield* schedulerInbox(100, { qwen: 120 })
    const store = memoryStore()
    const pods: Array<PodSeen> = []
    const put = (...list: ReadonlyArray<PodSeen>): void => {
      pods.splice(0, pods.length, ...list)
      for (const { id } of list) if (!inbox.sketches.has(id)) inbox.sketches.set(id, sketchOf(id, 1))
    }
    const scope = yield* Scope.fork(yield* Effect.scope, { _tag: "Sequential" })
    const { ref, replaceInterval } = yield* Scope.extend(
      makeSnapshotActor({
        scheduler: inbox.ref,
        store,
        podsSeen: () => [...pods],
        restoredIds,
        options: { ...snapshotActorDefaults, intervalMs: 3_600_000, tickPauseMs: 0, ...options }
      }),
      scope
    )
    const take = (everything = false) =>
      ref.ask<SnapshotReport, never>((reply) => ({ _tag: "TakeSnapshot", everything, reply }), 5000)
    return { inbox, store, put, scope, take, replaceInterval }
  })

describe("a snapshot", () => {
  test("holds each pod's sketch, process and models, and the output lengths", () =>
    runScoped(Effect.gen(function*() {
      const { put, store, take } = yield* world()
      put(seen("a:1"))
      const beforeMs = Date.now()
      expect(yield* take()).toEqual({ podsSaved: 1, podsUnchanged: 0, podsForgotten: 0, failure: undefined })
      const record = store.pods.get("a:1")
      expect(record).toEqual({
        id: "a:1",
        savedAtMs: expect.any(Number),
        sketch: sketchOf("a:1", 1),
        lastState: { processStartS: 17, models: ["qwen"] }
      })
      expect(record?.savedAtMs).toBeGreaterThanOrEqual(beforeMs)
      expect(store.metas).toEqual([{ outputTokensByModel: { qwen: 120 } }])
    })))

  test("is written a few pods at a time", () =>
    runScoped(Effect.gen(function*() {
      const { inbox, put, store, take } = yield* world({ options: { podsPerTick: 2 } })
      put(...["a:1", "b:1", "c:1", "d:1", "e:1"].map((id) => seen(id)))
      yield* take()
      expect(store.saves).toEqual([["a:1", "b:1"], ["c:1", "d:1"], ["e:1"]])
      expect(inbox.messages.filter((message) => message._tag === "ExportSketches")).toHaveLength(3)
    })))

  test("leaves out pods that did nothing since, unless everything is asked for", () =>
    runScoped(Effect.gen(function*() {
      const { put, store, take } = yield* world()
      put(seen("a:1", 5), seen("b:1", 5), mute("mute:1"))
      yield* take()
      put(seen("a:1", 6), seen("b:1", 5), mute("mute:1"))
      expect(yield* take()).toMatchObject({ podsSaved: 2, podsUnchanged: 1 })
      expect(store.saves.at(-1)).toEqual(["a:1", "mute:1"])
      expect(yield* take(true)).toMatchObject({ podsSaved: 3, podsUnchanged: 0 })
      expect(store.metas).toHaveLength(1)
    })))

  test("leaves out pods that the scheduler does not know", () =>
    runScoped(Effect.gen(function*() {
      const { inbox, put, store, take } = yield* world()
      put(seen("a:1"), seen("b:1"))
      inbox.sketches.delete("b:1")
      expect(yield* take()).toMatchObject({ podsSaved: 1 })
      expect([...store.pods.keys()]).toEqual(["a:1"])
    })))

  test("forgets pods long gone, restored ones among them, and keeps those gone for a short time", () =>
    runScoped(Effect.gen(function*() {
      const { put, store, take } = yield* world({ restoredIds: ["old:1"], options: { forgetAfterMs: 50 } })
      store.pods.set("old:1", { id: "old:1", savedAtMs: 0, sketch: sketchOf("old:1"), lastState: { models: [] } })
      put(seen("a:1"))
      yield* take()
      expect([...store.pods.keys()].sort()).toEqual(["a:1", "old:1"])
      yield* Effect.sleep(60)
      expect(yield* take()).toMatchObject({ podsForgotten: 1 })
      expect([...store.pods.keys()]).toEqual(["a:1"])
    })))
})

describe("pods are saved", () => {
  test("again and again, on the interval", () =>
    runScoped(Effect.gen(function*() {
      const { put, store } = yield* world({ options: { intervalMs: 5 } })
      put(mute("a:1"))
      yield* until("two saves", () => store.saves.length >= 2)
    })))

  test("at the stop, all of them, while the scheduler still answers", () =>
    runScoped(Effect.gen(function*() {
      const { inbox, put, scope, store, take } = yield* world()
      put(seen("a:1", 5))
      yield* take()
      inbox.sketches.set("a:1", sketchOf("a:1", 2))
      yield* Scope.close(scope, Exit.void)
      expect(store.pods.get("a:1")?.sketch.blocks).toEqual(Uint8Array.of(2))
    })))
})

describe("trouble", () => {
  test("of one kind is logged once, the service goes on, and what was not saved is saved later", async () => {
    const lines: Array<LogLine> = []
    await runScoped(
      Effect.gen(function*() {
        const { put, store, take } = yield* world()
        put(seen("a:1"))
        store.broken = "disk full"
        expect(yield* take()).toMatchObject({ podsSaved: 0, failure: "s.db: disk full" })
        yield* take()
        store.broken = "read-only"
        yield* take()
        store.broken = undefined
        expect(yield* take()).toMatchObject({ podsSaved: 1, failure: undefined })
        store.broken = "disk full"
        yield* take(true)
        store.broken = undefined
      }),
      lines
    )
    const warning = (why: string) => `the snapshot is not complete, a restart would be colder: s.db: ${why}`
    expect(lines.filter((line) => line.level === "WARN").map((line) => line.text)).toEqual([
      warning("disk full"),
      warning("read-only"),
      warning("disk full")
    ])
  })

  test("with the scheduler ends the snapshot within the deadline of the ask", () =>
    runScoped(Effect.gen(function*() {
      const inbox = yield* schedulerInbox(0)
      const store = memoryStore()
      const { ref } = yield* makeSnapshotActor({
        scheduler: inbox.ref,
        store,
        podsSeen: () => [seen("a:1")],
        restoredIds: [],
        options: { ...snapshotActorDefaults, askDeadlineMs: 5 }
      })
      const report = yield* ref.ask<SnapshotReport, never>(
        (reply) => ({ _tag: "TakeSnapshot", everything: true, reply }),
        5000
      )
      expect(report).toMatchObject({ podsSaved: 0, failure: "the scheduler did not answer (MailboxFull)" })
    })))
})
