import { expect, test } from "bun:test"
import { Effect, Either } from "effect"
import { ConfigError } from "../../../config/ConfigError.ts"
import { decodeConfig } from "../../../config/decodeConfig.ts"
import { makeReloadActor } from "../../../config/reload/ReloadActor.ts"
import { configFile } from "../../lib/configFile.ts"
import { eventually } from "../../lib/eventually.ts"

test("a watched file is read again when it changes, and not at the looks between", async () => {
  const settings = { pods: ["http://127.0.0.1:8000"], reload: { poll: "20 millis" } }
  const file = configFile(settings)
  const config = Either.getOrThrow(decodeConfig([{ name: "test", values: settings }]))
  let reads = 0
  const reader = { path: file.path, read: Effect.sync(() => (reads++, { config, warnings: [] })) }
  const actor = makeReloadActor({ started: config, reader, apply: () => Effect.void, reloaded: () => {} })
  await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
    const { reload } = yield* actor
    yield* Effect.promise(() => eventually("the first look", () => reads === 1))
    yield* Effect.sleep(200)
    expect(reads).toBe(1)
    file.write({ ...settings, log: { level: "none" } })
    yield* Effect.promise(() => eventually("a look at what is new", () => reads === 2))
    yield* Effect.promise(reload)
    expect(reads).toBe(3)
  })))
  file.remove()
})

test("a watched file that stays wrong is refused once, and once more when it is wrong in another way", async () => {
  const settings = { pods: ["http://127.0.0.1:8000"], reload: { poll: "20 millis" } }
  const file = configFile(settings)
  const config = Either.getOrThrow(decodeConfig([{ name: "test", values: settings }]))
  let fault: string | undefined
  let reads = 0
  const outcomes: Array<string> = []
  const read = Effect.suspend(() => {
    reads++
    return fault === undefined
      ? Effect.succeed({ config, warnings: [] })
      : Effect.fail(new ConfigError({ issues: [{ source: "gateway.yaml", key: "x", problem: fault, fix: undefined }] }))
  })
  const actor = makeReloadActor({
    started: config,
    reader: { path: file.path, read },
    apply: () => Effect.void,
    reloaded: (outcome) => void outcomes.push(outcome)
  })
  await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
    yield* actor
    for (const [at, words] of ["one", "two"].entries()) {
      fault = words
      file.write({ ...settings, log: { level: words } })
      const before = reads
      yield* Effect.promise(() => eventually("some looks at it", () => reads >= before + 5))
      expect(outcomes).toHaveLength(at + 1)
    }
  })))
  expect(outcomes).toEqual(["refused", "refused"])
  file.remove()
})
