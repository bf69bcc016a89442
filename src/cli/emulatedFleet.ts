import { Effect, type Scope } from "effect"
import type { EngineConstants } from "../core/EngineConstants.ts"
import { hardwarePresets } from "../core/hardwarePresets.ts"
import { CommandFailure } from "./failure.ts"

export interface FleetChoice {
  readonly pods: number
  readonly hostname: string
  /** Of the first pod, the others follow; 0: any free ports. */
  readonly basePort: number
  readonly hardware: string
  readonly speed: number
  readonly model: string
}

/** Emulated pods until the scope closes; returns their URLs. */
export const emulatedFleet = (
  choice: FleetChoice
): Effect.Effect<ReadonlyArray<string>, CommandFailure, Scope.Scope> =>
  Effect.gen(function*() {
    const constants = yield* constantsOf(choice.hardware)
    const { startEmulatedFleet } = yield* Effect.promise(() => import("../emulator/EmulatedPod.ts"))
    const { hostname, model, speed } = choice
    const fleet = yield* Effect.acquireRelease(
      Effect.tryPromise({
        try: async () => startEmulatedFleet(choice.pods, choice.basePort, { hostname, model, speed, constants }),
        catch: (cause) => notStarted(choice, cause)
      }),
      ({ stop }) => Effect.promise(stop)
    )
    return fleet.urls
  })

const constantsOf = (preset: string): Effect.Effect<EngineConstants, CommandFailure> => {
  const constants = hardwarePresets[preset]
  return constants === undefined
    ? new CommandFailure({
      message: `there is no hardware preset "${preset}"; there are: ${Object.keys(hardwarePresets).join(", ")}.`
    })
    : Effect.succeed(constants)
}

const notStarted = ({ basePort, hostname, pods }: FleetChoice, cause: unknown): CommandFailure => {
  const why = cause instanceof Error ? cause.message : String(cause)
  const [from, advice] = basePort === 0
    ? ["", ""]
    : [
      ` from port ${basePort} on`,
      " Choose other ports with --port (0: any free ones), or another interface with --host."
    ]
  return new CommandFailure({ message: `can't start ${pods} emulated pods on ${hostname}${from}: ${why}.${advice}` })
}
