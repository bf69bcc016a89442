import { tmpdir } from "node:os"
import type { PoolView } from "../../actors/PoolView.ts"
import type { SchedulerPort } from "../../actors/SchedulerPort.ts"
import { type ModelRewrites, modelRewrites } from "../core/ModelRewrite.ts"
import type { PodId } from "../core/Pod.ts"
import type { SessionSource } from "../policies/SessionSource.ts"
import type { DecisionEntry } from "../telemetry/DecisionLog.ts"
import type { KeyRing } from "./doors/KeyRing.ts"
import type { SessionTokens } from "./doors/SessionTokens.ts"
import type { TlsPair } from "./doors/TlsPair.ts"
import { wishDefaults, type WishRules } from "./features/requestWish.ts"
import type { FrontMetrics } from "./FrontMetrics.ts"
import type { RescueOptions } from "./rescue/StreamRescue.ts"
import type { UpstreamOptions } from "./upstream/UpstreamOptions.ts"

/** Limits and switches of the front end. `frontDefaults` names the values an operator gets without asking. */
export interface FrontOptions {
  /** Name a client uses → model the pods serve. */
  readonly aliases: ReadonlyMap<string, string>
  /** What the cluster makes of a name, after the alias; the answer has the client's name again. */
  readonly rewrites: ModelRewrites
  /** What clients may say of how their requests wait. */
  readonly wishes: WishRules
  /** Add `x-warmroute-pod` to answers. */
  readonly exposePodHeader: boolean
  /** Answers carry the pod's session token under this name; undefined: they carry none. */
  readonly sessionHeader?: string | undefined
  /** Writes those tokens and reads them again; undefined: there are none. */
  readonly sessionTokens?: SessionTokens | undefined
  /** Where a request's session is named, before the gateway's own places; with headers in lower case. */
  readonly sessionSources: ReadonlyArray<SessionSource>
  /** Further pods to try when one fails before its answer began. */
  readonly retriesMax: number
  /** Retries of all requests together: this share of all requests, and once a few. */
  readonly retryShare: number
  readonly retryBurst: number
  /** How streams go on when their pod is lost. */
  readonly rescue: RescueOptions
  /** To the first byte of an answer of a pod that is tried after its breaker was open. */
  readonly probeTimeoutMs: number
  /** From a request's arrival to the end of its answer. */
  readonly requestTimeoutMs: number
  /** A pod's error answer up to this size is held back until it is known whether another pod does better. */
  readonly errorAnswerBytesMax: number
  readonly bodyBytesMax: number
  /** Bodies of all requests together while the gateway holds them; one more gets 429. */
  readonly requestBytesMax: number
  /** Largest multipart form, and the size from which one lies in a file instead of in memory. */
  readonly multipartBytesMax: number
  readonly multipartMemoryMax: number
  /** Bytes of all such files together; one more gets 429. */
  readonly spooledBytesMax: number
  /** The folder in which the private one of those files is made. */
  readonly spoolParent: string
  readonly headersMax: number
  /** Names and values; Bun itself refuses more than 16 KiB, with a bare 431. */
  readonly headerBytesMax: number
  /** Scheme and host included. */
  readonly urlCharsMax: number
  /** Arrays and objects inside one another in a JSON body. */
  readonly jsonDepthMax: number
  /** Pass a client's `authorization` and `x-api-key` on to pods. */
  readonly forwardCredentials: boolean
  /** Requests in hand at once; one more gets 429. */
  readonly openRequestsMax: number
  /** A client may take this long to send its whole body; of a form in a file, each `multipartMemoryMax` of it. */
  readonly bodyReadTimeoutMs: number
  /** A client has this long between requests and to send all headers of one; at most 255, Bun's limit. */
  readonly clientIdleTimeoutS: number
  /**
   * What has come of a stream and waits for its client must be on its way in this time, else the client is hung up on
   * and its request ended. A settled answer has the connection's idle timeout instead.
   */
  readonly clientStallTimeoutMs: number
  /** Answers up to this size that carry a content-length are collected and sent as one piece, with that length. */
  readonly wholeAnswerBytesMax: number
  /** Models whose bytes per token are remembered. */
  readonly learnedModelsMax: number
}

export const frontDefaults: FrontOptions = {
  aliases: new Map(),
  rewrites: modelRewrites([]),
  wishes: wishDefaults,
  exposePodHeader: true,
  sessionSources: [],
  retriesMax: 2,
  retryShare: 0.2,
  retryBurst: 20,
  rescue: { enabled: true, attemptsMax: 2, streamBytesMax: 8 * 1024 * 1024, bytesMax: 256 * 1024 * 1024 },
  probeTimeoutMs: 30_000,
  requestTimeoutMs: 3_600_000,
  errorAnswerBytesMax: 64 * 1024,
  bodyBytesMax: 64 * 1024 * 1024,
  requestBytesMax: 1024 * 1024 * 1024,
  multipartBytesMax: 1024 * 1024 * 1024,
  multipartMemoryMax: 1024 * 1024,
  spooledBytesMax: 8 * 1024 * 1024 * 1024,
  spoolParent: tmpdir(),
  headersMax: 128,
  headerBytesMax: 16 * 1024,
  urlCharsMax: 8192,
  jsonDepthMax: 128,
  forwardCredentials: true,
  openRequestsMax: 16_384,
  bodyReadTimeoutMs: 60_000,
  clientIdleTimeoutS: 255,
  clientStallTimeoutMs: 120_000,
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
  /** Undefined: plain HTTP. */
  readonly tls?: TlsPair | undefined
}

/** Where a sample of the decisions is written, with how they turned out. Neither call blocks or throws. */
export interface DecisionSink {
  readonly samples: () => boolean
  /** Whether entries should have the prompt's trail. */
  readonly blockHashes: boolean
  readonly write: (entry: DecisionEntry) => void
}

/** What may change while the front serves. */
export interface FrontSettings {
  readonly options: FrontOptions
  readonly upstream: UpstreamOptions
  /** Undefined: the gateway asks for no keys. */
  readonly keys?: KeyRing | undefined
  /** The body of `GET /metrics`, Prometheus text 0.0.4; undefined: clients don't see it. */
  readonly metricsText: (() => string) | undefined
}

/** What the front end needs from the rest of the gateway. */
export interface FrontDeps extends FrontSettings {
  readonly scheduler: SchedulerPort
  readonly pool: PoolView
  /** Told while a pod in doubt answers requests. */
  readonly podAnswers: (id: PodId) => void
  readonly metrics: FrontMetrics
  /** Undefined: decisions are not logged. */
  readonly decisionLog?: DecisionSink | undefined
  /** For `GET /version`. */
  readonly version: string
  /** Defects only; one line each. */
  readonly log: (message: string, cause?: unknown) => void
}
