import { Effect, type Scope } from "effect"
import type { EngineConstants } from "../core/EngineConstants.ts"
import { counted } from "../core/counted.ts"
import { hardwarePresets } from "../core/hardwarePresets.ts"
import { listenFault } from "../core/networkWords.ts"
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

const PORT_MOST = 65_535

const notStarted = ({ basePort, hostname, pods }: FleetChoice, cause: unknown): CommandFailure => {
  const { change, why } = listenFault(cause)
  const last = basePort + pods - 1
  const ports = basePort === 0 ? "" : pods === 1 ? `:${basePort}` : `:${basePort} to ${last}`
  const [reason, advice] = change === "host"
    ? [why, "take one that it has with --host"]
    : last > PORT_MOST
    ? [`ports end at ${PORT_MOST}`, "begin lower with --port (0: any free ones), or take fewer --pods"]
    : [pods === 1 ? why : `${why}, at least one of them`, "take others with --port (0: any free ones)"]
  const what = counted(pods, "emulated pod")
  return new CommandFailure({ message: `can't start ${what} on ${hostname}${ports}: ${reason}; ${advice}.` })
}
