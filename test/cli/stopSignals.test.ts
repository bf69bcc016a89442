import { expect, test } from "bun:test"
import { startWarmroute } from "../lib/commandLine.ts"

/** Says which signals it took, and would never end by itself. */
const patient = (forcedBy: 2 | 3): ReadonlyArray<string> => [
  process.execPath,
  "-e",
  `import { Effect } from "effect"
   import { stopSignals } from "./src/cli/stopSignals.ts"
   setInterval(() => {}, 1000)
   const { first, second } = await Effect.runPromise(stopSignals(${forcedBy}))
   console.log("ready")
   console.log("first", await Effect.runPromise(first))
   console.log("second", await Effect.runPromise(second))`
]

test("a third signal ends what is patient at once with 130; copies of one within half a second are one", async () => {
  const running = startWarmroute([], {}, patient(3))
  await running.printed("ready")
  running.signal("SIGTERM")
  await running.printed("first SIGTERM")
  const again = setInterval(() => running.signal("SIGINT"), 50)
  const { code, stdout } = await running.ended.finally(() => clearInterval(again))
  expect([code, stdout]).toEqual([130, "ready\nfirst SIGTERM\nsecond SIGINT\n"])
})

test("a second signal ends everything else at once with 130", async () => {
  const running = startWarmroute([], {}, patient(2))
  await running.printed("ready")
  const again = setInterval(() => running.signal("SIGINT"), 50)
  const { code, stdout } = await running.ended.finally(() => clearInterval(again))
  expect([code, stdout]).toEqual([130, "ready\nfirst SIGINT\n"])
})
