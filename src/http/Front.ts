import { type GatewayError, GatewayStopping, Overloaded } from "../errors.ts"
import type { ClientServer } from "./doors/ClientListener.ts"
import type { KeyLease } from "./doors/KeyLease.ts"
import { RequestBytes } from "./doors/RequestBytes.ts"
import { errorResponse, toGatewayError } from "./errors.ts"
import { FeatureWorkshop } from "./features/PromptFeatures.ts"
import type { FrontDeps, FrontSettings } from "./FrontOptions.ts"
import { withHarmlessEars } from "./harmlessEars.ts"
import { OpenExchanges } from "./OpenExchanges.ts"
import { ProxyExchange } from "./ProxyExchange.ts"
import { newRequestId } from "./requestHeaders.ts"
import { RescueBytes } from "./rescue/RescueBytes.ts"
import { RetryBudget } from "./retry/RetryBudget.ts"
import type { ProxyRoute } from "./routes.ts"
import { SpoolFolder } from "./spool/SpoolFolder.ts"
import { UpstreamClient } from "./upstream/UpstreamClient.ts"

/** What all requests share: the client towards pods, the feature workshop and the count of open requests. */
export class Front {
  /** Replaced as a whole by a reload, never written into. */
  deps: FrontDeps
  readonly client: UpstreamClient
  readonly workshop: FeatureWorkshop
  readonly requestBytes: RequestBytes
  /** Of bodies that are too large for memory. */
  readonly spooledBytes: RequestBytes
  readonly spoolFolder: SpoolFolder
  readonly retryBudget: RetryBudget
  readonly rescueBytes: RescueBytes
  /** Set when the server has been told to stop: not ready any more, but still serving. */
  draining = false
  /** Set when no open request may go on, and no further one begin. */
  private over = false
  /** At most `openRequestsMax`. */
  private readonly open = new OpenExchanges()

  constructor(given: FrontDeps) {
    const deps = this.deps = withHarmlessEars(given)
    this.client = new UpstreamClient(deps.upstream, {
      signsOf: (id) => this.deps.pool.signs(id),
      hasOther: (id) => this.deps.pool.hasOther(id),
      answers: (id) => this.deps.podAnswers(id)
    })
    const retryAfterS = () => this.deps.scheduler.retryAfterS()
    this.requestBytes = new RequestBytes("request_memory_full", () => this.deps.options.requestBytesMax, retryAfterS)
    this.spooledBytes = new RequestBytes("request_disk_full", () => this.deps.options.spooledBytesMax, retryAfterS)
    this.spoolFolder = new SpoolFolder(deps.options.spoolParent)
    this.retryBudget = new RetryBudget(() => this.deps.options)
    this.rescueBytes = new RescueBytes(() => this.deps.options.rescue.bytesMax)
    this.workshop = new FeatureWorkshop(deps.options.learnedModelsMax)
  }

  get openRequests(): number {
    return this.open.count
  }

  proxy(route: ProxyRoute, request: Request, server: ClientServer): Promise<Response> | Response {
    const { keys, metrics, options: { openRequestsMax }, scheduler } = this.deps
    metrics.requestStarted(route.path)
    if (this.over) return this.refuse(route, request, new GatewayStopping())
    if (this.open.count >= openRequestsMax) {
      const message = `the gateway already has ${openRequestsMax} requests in hand (limits.openRequestsMax)`
      return this.refuse(route, request, new Overloaded("too_many_open_requests", message, scheduler.retryAfterS()))
    }
    let lease: KeyLease | undefined
    try {
      lease = keys?.admit(request.headers)
    } catch (cause) {
      return this.refuse(route, request, toGatewayError(cause, this.deps.log))
    }
    const exchange = new ProxyExchange(this, route, request, server, lease)
    exchange.place = this.open.enter(exchange)
    return exchange.run()
  }

  private refuse(route: ProxyRoute, request: Request, error: GatewayError): Response {
    this.deps.metrics.requestEnded(route.path, error.status, "failed", 0)
    this.deps.metrics.refused(error)
    const requestId = request.headers.get("x-request-id") ?? newRequestId()
    return errorResponse(error, requestId, route.prompt === "messages")
  }

  /** For requests that come from now on; those that are open keep theirs. */
  replaceSettings(settings: FrontSettings): void {
    this.deps = { ...this.deps, ...settings }
    this.client.replaceOptions(settings.upstream)
    this.workshop.bytesPerToken.resize(settings.options.learnedModelsMax)
  }

  /** A request that `proxy` took has ended. */
  left(place: number): void {
    this.open.leave(place)
  }

  /**
   * Ends every open request: streams with an error event, those without an answer with 503. What else is under way
   * breaks. Returns how many there were.
   */
  endOpenRequests(): number {
    this.over = true
    const ended = this.open.count
    this.open.forEach((exchange) => exchange.endForStop())
    return ended
  }
}
