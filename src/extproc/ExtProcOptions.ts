import type { SchedulerPort } from "../../actors/SchedulerPort.ts"
import type { RequestBytes } from "../http/doors/RequestBytes.ts"
import type { FeatureWorkshop } from "../http/features/PromptFeatures.ts"
import type { FrontMetrics } from "../http/FrontMetrics.ts"
import type { DecisionSink, FrontOptions } from "../http/FrontOptions.ts"

/** Limits and switches of the endpoint picker. */
export interface ExtProcOptions {
  /** Pods named behind the picked one, for a proxy that tries again by itself. */
  readonly fallbacks: number
  /** Largest message that Envoy may send. */
  readonly messageBytesMax: number
  /** Requests in hand at once; one more is answered 429. */
  readonly openStreamsMax: number
  /** A connection that is silent this long is asked whether it lives; one that stays silent as long again is cut. */
  readonly pingEveryMs: number
  /** Name of the health service beside the standard ones; empty: none. */
  readonly healthService: string
}

/** A certificate with its chain, and the key, PEM. */
export interface PickerTls {
  readonly cert: string
  readonly key: string
}

/** Where the picker listens. */
export interface ExtProcListen {
  readonly hostname: string
  /** 0: any free port. */
  readonly port: number
  /** Undefined: HTTP/2 without TLS. */
  readonly tls: PickerTls | undefined
  /** A port for health checks alone, without TLS; undefined: none. */
  readonly healthPort: number | undefined
}

/** What the picker needs from the rest of the gateway. */
export interface ExtProcDeps {
  readonly scheduler: SchedulerPort
  readonly options: ExtProcOptions
  /** The HTTP front's options, which a reload may replace, and what it learned of prompts. */
  readonly front: {
    readonly deps: { readonly options: FrontOptions }
    readonly workshop: FeatureWorkshop
    readonly requestBytes: RequestBytes
  }
  readonly metrics: FrontMetrics
  readonly decisionLog?: DecisionSink | undefined
  /** Defects only; one line each. */
  readonly log: (message: string, cause: unknown) => void
}
