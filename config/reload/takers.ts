import { Duration, Effect, Option } from "effect"
import type { SnapshotHandle } from "../../actors/SnapshotActor.ts"
import type { ExtProcServer } from "../../src/extproc/serveExtProc.ts"
import type { FrontSettings } from "../../src/http/FrontOptions.ts"
import type { FrontServer } from "../../src/http/serveFront.ts"
import type { DecisionLog } from "../../src/telemetry/DecisionLog.ts"
import type { GatewayConfig } from "../GatewayConfig.ts"
import { decisionLogSettings } from "../layers/decisionLog.ts"
import { extProcOptions } from "../layers/extProc.ts"
import { LogSettings } from "../layers/log.ts"
import type { Telemetry } from "../layers/telemetry.ts"

/** Takes whatever a configuration says. */
export type Taker = (config: GatewayConfig) => Effect.Effect<void>

export interface TakingParts {
  readonly front: Pick<FrontServer, "replaceSettings">
  readonly frontSettings: (config: GatewayConfig) => FrontSettings
  /** Undefined: there is no picker. */
  readonly picker: Pick<ExtProcServer, "replaceOptions"> | undefined
  readonly telemetry: Pick<Telemetry["Type"], "reload">
  readonly decisionLog: DecisionLog
  readonly replaceInterval: SnapshotHandle["replaceInterval"]
}

/** The parts of a running gateway that are not actors of requests and pods, in order. */
export const takersOf = (
  started: GatewayConfig,
  { decisionLog, front, frontSettings, picker, replaceInterval, telemetry }: TakingParts
): ReadonlyArray<Taker> => [
  ({ log }) => Effect.map(Effect.serviceOption(LogSettings), Option.map(({ replace }) => replace(log))),
  (after) => Effect.sync(() => front.replaceSettings(frontSettings(after))),
  (after) => Effect.sync(() => picker?.replaceOptions(extProcOptions(after))),
  (after) => Effect.sync(() => telemetry.reload(after)),
  (after) => Effect.promise(() => decisionLog.replaceSettings(decisionLogSettings(after.decisionLog))),
  snapshotTaker(started, replaceInterval)
]

/** The next snapshot is put off only when the interval is another one. */
const snapshotTaker = (started: GatewayConfig, replace: SnapshotHandle["replaceInterval"]): Taker => {
  let { interval } = started.snapshot
  return ({ snapshot }) =>
    Effect.suspend(() => {
      if (Duration.equals(interval, snapshot.interval)) return Effect.void
      interval = snapshot.interval
      return replace(Duration.toMillis(interval))
    })
}
