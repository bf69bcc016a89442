import type { ModelCard, PodStatus } from "../../actors/PoolView.ts"
import type { PodAddress } from "../../src/core/Pod.ts"
import type { KeyRing } from "../../src/http/doors/KeyRing.ts"
import type { TlsPair } from "../../src/http/doors/TlsPair.ts"
import type { FrontMetrics } from "../../src/http/FrontMetrics.ts"
import { type DecisionSink, frontDefaults, type FrontDeps, type FrontOptions } from "../../src/http/FrontOptions.ts"
import { type FrontServer, serveFront } from "../../src/http/serveFront.ts"
import { upstreamDefaults, type UpstreamOptions } from "../../src/http/upstream/UpstreamOptions.ts"
import { ScriptedScheduler } from "./ScriptedScheduler.ts"

interface TestFrontOptions {
  readonly options?: Partial<FrontOptions>
  readonly upstream?: Partial<UpstreamOptions>
  readonly models?: ReadonlyArray<ModelCard>
  readonly statuses?: ReadonlyArray<PodStatus>
  readonly keys?: KeyRing
  readonly tls?: TlsPair
  /** In the place of what books. */
  readonly metrics?: Partial<FrontMetrics>
  readonly decisionLog?: DecisionSink
}

/** A front end on a free port over a scripted scheduler. Stop it with `await using`. */
export class TestFront implements AsyncDisposable {
  readonly scheduler: ScriptedScheduler
  readonly server: FrontServer
  /** Calls of the metrics interface, as texts. */
  readonly booked: Array<string> = []
  /** Of the same, the failures of pods: apart, as they come with every retry. */
  readonly failedPods: Array<readonly [pod: string, reason: string]> = []
  /** Codes of the errors that clients were told. */
  readonly refusals: Array<string> = []
  readonly logged: Array<string> = []

  constructor(
    pods: ReadonlyArray<PodAddress>,
    { decisionLog, keys, metrics, models, options, statuses, tls, upstream }: TestFrontOptions = {}
  ) {
    this.scheduler = new ScriptedScheduler(pods)
    const deps: FrontDeps = {
      scheduler: this.scheduler,
      pool: {
        models: () => models ?? [],
        signs: () => undefined,
        hasOther: () => false,
        pods: () =>
          statuses ??
            pods.map((address) => ({ address, health: "healthy", reason: undefined, models: [], version: undefined }))
      },
      podAnswers: () => {},
      options: { ...frontDefaults, ...options },
      upstream: { ...upstreamDefaults, sweepMs: 10, ...upstream },
      metrics: { ...this.metrics(), ...metrics },
      decisionLog,
      keys,
      metricsText: () => "# nothing\n",
      version: "1.2.3",
      log: (message) => void this.logged.push(message)
    }
    this.server = serveFront({ hostname: "127.0.0.1", port: 0, tls }, deps)
  }

  get url(): string {
    return this.server.url
  }

  post(path: string, body: unknown, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers)
    if (!headers.has("content-type")) headers.set("content-type", "application/json")
    return fetch(this.url + path, { method: "POST", body: JSON.stringify(body), ...init, headers })
  }

  /** Resolves when no proxied request is open. */
  async quiet(): Promise<void> {
    while (this.server.openRequests() > 0) await Bun.sleep(1)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.stop(0)
  }

  private metrics(): FrontMetrics {
    const book = (name: string) => (...values: ReadonlyArray<unknown>) =>
      void this.booked.push(
        [name, ...values.filter((value) => typeof value !== "number" || Number.isInteger(value))].join(" ")
      )
    return {
      requestStarted: book("started"),
      requestEnded: (route, status, outcome) => void this.booked.push(`ended ${route} ${status} ${outcome}`),
      firstByte: (route) => void this.booked.push(`first byte ${route}`),
      ttft: (pod) => void this.booked.push(`ttft ${pod}`),
      picked: () => {},
      retried: book("retried"),
      retryDenied: book("denied"),
      rescued: book("rescued"),
      rescueDenied: book("rescue denied"),
      podFailed: (pod, reason) => void this.failedPods.push([pod, reason]),
      refused: ({ code }) => void this.refusals.push(code),
      timedOut: book("timed out"),
      tokens: book("tokens")
    }
  }
}
