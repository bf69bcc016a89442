import type { PoolView } from "../../actors/PoolView.ts"
import type { SchedulerPort } from "../../actors/SchedulerPort.ts"
import type { DecisionEntry } from "../telemetry/DecisionLog.ts"
import type { FrontMetrics } from "./FrontMetrics.ts"
import type { UpstreamOptions } from "./upstream/UpstreamOptions.ts"

/** Limits and switches of the front end. `frontDefaults` names the values an operator gets without asking. */
export interface FrontOptions {
  /** Name a client uses → model the pods serve. */
  readonly aliases: ReadonlyMap<string, string>
  /** Add `x-warmroute-pod` to answers. */
  readonly exposePodHeader: boolean
  /** Further pods to try when one fails before its answer began. */
  readonly retriesMax: number
  readonly bodyBytesMax: number
  /** Requests in hand at once; one more gets 429. */
  readonly openRequestsMax: number
  /** A client may take this long to send its whole body. */
  readonly bodyReadTimeoutMs: number
  /** A client's connection that is silent this long between requests is closed; at most 255, Bun's limit. */
  readonly clientIdleTimeoutS: number
  /** Answers up to this size that carry a content-length are collected and sent as one piece, with that length. */
  readonly wholeAnswerBytesMax: number
  /** Models whose bytes per token are remembered. */
  readonly learnedModelsMax: number
}

export const frontDefaults: FrontOptions = {
  aliases: new Map(),
  exposePodHeader: true,
  retriesMax: 2,
  bodyBytesMax: 64 * 1024 * 1024,
  openRequestsMax: 16_384,
  bodyReadTimeoutMs: 60_000,
  clientIdleTimeoutS: 255,
  wholeAnswerBytesMax: 1024 * 1024,
  learnedModelsMax: 1_024
}

/** Where the server listens. */
export interface ListenOptions {
  readonly hostname: string
  /** 0: any free port. */
  readonly port: number
  /** Several gateway processes may share the port. */
  readonly reusePort?: boolean | undefined
}

/** Where a sample of the decisions is written, with how they turned out. Neither call blocks or throws. */
export interface DecisionSink {
  readonly samples: () => boolean
  /** Whether entries should have the prompt's trail. */
  readonly blockHashes: boolean
  readonly write: (entry: DecisionEntry) => void
}

/** What the front end needs from the rest of the gateway. */
export interface FrontDeps {
  readonly scheduler: SchedulerPort
  readonly pool: PoolView
  readonly options: FrontOptions
  readonly upstream: UpstreamOptions
  readonly metrics: FrontMetrics
  /** Undefined: decisions are not logged. */
  readonly decisionLog?: DecisionSink | undefined
  /** The body of `GET /metrics`, Prometheus text 0.0.4. */
  readonly metricsText: () => string
  /** For `GET /version`. */
  readonly version: string
  /** Defects only; one line each. */
  readonly log: (message: string, cause: unknown) => void
}
