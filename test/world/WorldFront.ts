import type { PoolView } from "../../actors/PoolView.ts"
import type { SchedulerPort } from "../../actors/SchedulerPort.ts"
import { wishDefaults } from "../../src/http/features/requestWish.ts"
import { Front } from "../../src/http/Front.ts"
import type { FrontMetrics } from "../../src/http/FrontMetrics.ts"
import { frontDefaults, type FrontDeps, type FrontOptions } from "../../src/http/FrontOptions.ts"
import { proxyRoutes } from "../../src/http/routes.ts"
import { upstreamDefaults } from "../../src/http/upstream/UpstreamOptions.ts"
import type { WorldPlan } from "./WorldPlan.ts"
import { pathOf, type WorldRequest } from "./WorldRequest.ts"
import type { WorldUpstream } from "./WorldUpstream.ts"

/** The front end of one gateway process, live but for its sockets on both sides. */
export class WorldFront {
  private readonly front: Front
  private readonly shared: Omit<FrontDeps, "metrics" | "scheduler">

  constructor(plan: WorldPlan, pool: PoolView, upstream: WorldUpstream, onDefect: (what: string) => void) {
    this.shared = {
      pool,
      // The client towards pods tells it itself.
      podAnswers: () => {},
      options: optionsOf(plan),
      upstream: upstreamDefaults,
      metricsText: undefined,
      version: "0",
      log: (message, cause) => onDefect(`${message}: ${String(cause)}`)
    }
    this.front = new Front({ ...this.shared, scheduler: nobody, metrics: silent })
    Object.defineProperty(this.front, "client", { value: upstream })
  }

  get openRequests(): number {
    return this.front.openRequests
  }

  /** Bytes that requests hold, and bytes that streams keep for their rescue. */
  get heldBytes(): number {
    return this.front.requestBytes.heldBytes + this.front.rescueBytes.heldBytes
  }

  get rescueBytes(): number {
    return this.front.rescueBytes.heldBytes
  }

  /** Each request has a port and metrics of its own, so that it can be watched. */
  send(
    kind: WorldRequest["kind"],
    request: Request,
    scheduler: SchedulerPort,
    metrics: FrontMetrics
  ): Promise<Response> | Response {
    const route = proxyRoutes.find(({ path }) => path === pathOf(kind))
    if (route === undefined) throw new Error(`no route for ${kind}`)
    this.front.deps = { ...this.shared, scheduler, metrics }
    return this.front.proxy(route, request, client)
  }
}

const client = { requestIP: () => ({ address: "192.0.2.1" }) }

const optionsOf = (plan: WorldPlan): FrontOptions => ({
  ...frontDefaults,
  retriesMax: plan.retriesMax,
  retryShare: plan.retryShare,
  retryBurst: plan.retryBurst,
  rescue: {
    enabled: true,
    attemptsMax: plan.rescuesMax,
    streamBytesMax: RESCUE_STREAM_BYTES,
    bytesMax: plan.rescueBytesMax
  },
  wishes: { ...wishDefaults, readsPriority: true, readsFlow: "always" },
  requestTimeoutMs: plan.requestTimeoutMs,
  probeTimeoutMs: 3000
})

const RESCUE_STREAM_BYTES = 64 * 1024

const never = (): never => {
  throw new Error("a request without an owner")
}
const nobody: SchedulerPort = {
  pick: never,
  cancel: never,
  end: never,
  firstToken: never,
  podFailed: never,
  retryAfterS: never
}
const nothing = (): void => {}
const silent: FrontMetrics = {
  requestStarted: nothing,
  requestEnded: nothing,
  firstByte: nothing,
  ttft: nothing,
  picked: nothing,
  retried: nothing,
  retryDenied: nothing,
  rescued: nothing,
  rescueDenied: nothing,
  podFailed: nothing,
  refused: nothing,
  timedOut: nothing,
  tokens: nothing
}
