import { Console, Effect } from "effect"
import { counted } from "../core/counted.ts"
import { emulatedFleet, type FleetChoice } from "./emulatedFleet.ts"
import type { CommandFailure } from "./failure.ts"
import { stopSignals } from "./stopSignals.ts"

/** Runs emulated pods until a signal comes. */
export const emulate = (choice: FleetChoice): Effect.Effect<void, CommandFailure> =>
  Effect.scoped(Effect.gen(function*() {
    const { first: stopSignal } = yield* stopSignals(2)
    const urls = yield* emulatedFleet(choice)
    yield* Console.log(
      [
        `${
          counted(urls.length, "emulated vLLM pod")
        } of model ${choice.model}, at ${choice.speed} times the speed of ${choice.hardware}:`,
        ...urls.map((url) => `  ${url}`),
        "",
        "A gateway before them:",
        `  npx bun start --pods ${urls.join(",")}`
      ].join("\n")
    )
    yield* stopSignal
  }))
