import { Context, Layer } from "effect"
import type { Decision } from "../../actors/SchedulerPort.ts"
import type { Refusal } from "../../src/core/Scheduler.ts"
import type { FrontMetrics } from "../../src/http/FrontMetrics.ts"

/** The gateway's own numbers. */
export class Telemetry extends Context.Tag("warmroute/Telemetry")<Telemetry, {
  readonly frontMetrics: FrontMetrics
  readonly onPick: (decision: Decision, tookMs: number) => void
  readonly onRefusal: (refusal: Refusal) => void
  /** The page for `GET /metrics`. */
  readonly metricsText: () => string
}>() {}

export const layer: Layer.Layer<Telemetry> = Layer.succeed(Telemetry, {
  frontMetrics: {
    requestStarted: () => {},
    requestEnded: () => {},
    firstByte: () => {},
    picked: () => {},
    retried: () => {},
    tokens: () => {}
  },
  onPick: () => {},
  onRefusal: () => {},
  metricsText: () => ""
})
