import { Overloaded } from "../errors.ts"
import { errorResponse } from "./errors.ts"
import { FeatureWorkshop } from "./features/PromptFeatures.ts"
import type { FrontDeps } from "./FrontOptions.ts"
import { type ClientServer, ProxyExchange } from "./ProxyExchange.ts"
import { newRequestId } from "./requestHeaders.ts"
import type { ProxyRoute } from "./routes.ts"
import { UpstreamClient } from "./upstream/UpstreamClient.ts"

/** What all requests share: the client towards pods, the feature workshop and the count of open requests. */
export class Front {
  readonly deps: FrontDeps
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

  /** A request that `proxy` took has ended. */
  left(): void {
    this.open--
  }
}
