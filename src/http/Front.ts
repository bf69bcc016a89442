import { Overloaded } from "../errors.ts"
import { errorResponse } from "./errors.ts"
import { FeatureWorkshop } from "./features/PromptFeatures.ts"
import type { FrontDeps, FrontOptions } from "./FrontOptions.ts"
import { type ClientServer, ProxyExchange } from "./ProxyExchange.ts"
import { newRequestId } from "./requestHeaders.ts"
import type { ProxyRoute } from "./routes.ts"
import { UpstreamClient } from "./upstream/UpstreamClient.ts"
import type { UpstreamOptions } from "./upstream/UpstreamOptions.ts"

/** What all requests share: the client towards pods, the feature workshop and the count of open requests. */
export class Front {
  /** Replaced as a whole by a reload, never written into. */
  deps: FrontDeps
  readonly client: UpstreamClient
  readonly workshop: FeatureWorkshop
  /** Set when the server has been told to stop: not ready any more, but still serving. */
  draining = false
  private open = 0

  constructor(deps: FrontDeps) {
    this.deps = deps
    this.client = new UpstreamClient(deps.upstream)
    this.workshop = new FeatureWorkshop(deps.options.learnedModelsMax)
  }

  get openRequests(): number {
    return this.open
  }

  proxy(route: ProxyRoute, request: Request, server: ClientServer): Promise<Response> | Response {
    const { metrics, options: { openRequestsMax } } = this.deps
    metrics.requestStarted(route.path)
    if (this.open >= openRequestsMax) {
      metrics.requestEnded(route.path, 429, "failed", 0)
      const message = `the gateway already has ${openRequestsMax} requests in hand`
      const requestId = request.headers.get("x-request-id") ?? newRequestId()
      return errorResponse(new Overloaded({ message, retryAfterS: 1 }), requestId, route.prompt === "messages")
    }
    this.open++
    return new ProxyExchange(this, route, request, server).run()
  }

  /** Requests that come from now on have these options; those that are open keep theirs. */
  replaceOptions(options: FrontOptions, upstream: UpstreamOptions): void {
    this.deps = { ...this.deps, options, upstream }
    this.client.replaceOptions(upstream)
  }

  /** A request that `proxy` took has ended. */
  left(): void {
    this.open--
  }
}
