import type { RequestEnd } from "../../actors/SchedulerPort.ts"
import { secondsText } from "../core/counted.ts"
import type { PodAddress } from "../core/Pod.ts"
import { GatewayError, GatewayStopping, TimedOut } from "../errors.ts"
import type { Usage } from "./AnswerTail.ts"
import type { ClientServer } from "./doors/ClientListener.ts"
import type { KeyLease } from "./doors/KeyLease.ts"
import { HeldBytes } from "./doors/RequestBytes.ts"
import { errorResponse, toGatewayError } from "./errors.ts"
import { bodyTimedOut, urlTooLong } from "./exchangeErrors.ts"
import { formScanner, type ReadRequest, readRequest, readScannedForm } from "./features/readRequest.ts"
import { requestWish } from "./features/requestWish.ts"
import type { Front } from "./Front.ts"
import type { FrontDeps } from "./FrontOptions.ts"
import { PodTries } from "./PodTries.ts"
import type { TriesOwner } from "./PodTry.ts"
import { readBody, readPieces } from "./readBody.ts"
import { podRequestHeaders } from "./requestHeaders.ts"
import { isRescueWanted } from "./rescue/StreamRescue.ts"
import { clientHeaders } from "./responseHeaders.ts"
import type { ProxyRoute } from "./routes.ts"
import { FormIntake } from "./spool/FormIntake.ts"
import type { RequestBody, ResponseHead } from "./upstream/UpstreamRequest.ts"

/** Status for the books when the client left before it had one. */
const clientGoneStatus = 499

/**
 * One proxied request from its arrival to its end, as the client sees it: its body is read, `PodTries` finds the pod that
 * answers, and `settle` is the one way out, which ends reservation and books exactly once. It is itself the abort
 * listener, so that a request makes few closures.
 */
export class ProxyExchange implements TriesOwner, EventListenerObject {
  readonly front: Front
  /** As they were when the request came: a reload in its middle changes nothing for it. */
  readonly deps: FrontDeps
  readonly route: ProxyRoute
  readonly startedMs = performance.now()
  requestId = ""
  settled = false
  private readonly request: Request
  private readonly server: ClientServer
  /** Undefined when the gateway asks for no keys. */
  private readonly lease: KeyLease | undefined
  private readonly held: HeldBytes
  private readonly answer = Promise.withResolvers<Response>()
  private totalTimer: Timer | undefined
  /** From the time that the request has been read. */
  private tries: PodTries | undefined
  /** For requests that bring a form. */
  private form: FormIntake | undefined
  private defect: GatewayError | undefined

  /** Among the front's open requests. */
  place = -1

  constructor(front: Front, route: ProxyRoute, request: Request, server: ClientServer, lease: KeyLease | undefined) {
    this.front = front
    this.deps = front.deps
    this.lease = lease
    this.held = new HeldBytes(front.requestBytes)
    this.route = route
    this.request = request
    this.server = server
  }

  /** Never rejects. */
  run(): Promise<Response> {
    this.proceed().catch((cause: unknown) => this.fail(this.errorOf(cause)))
    return this.answer.promise
  }

  private async proceed(): Promise<void> {
    const { options } = this.deps
    const { request } = this
    request.signal.addEventListener("abort", this)
    this.server.timeout?.(request, 0)
    this.totalTimer = setTimeout(() => this.outOfTime(), options.requestTimeoutMs)
    this.front.retryBudget.earn(this.startedMs / 1000)
    if (request.url.length > options.urlCharsMax) throw urlTooLong(options.urlCharsMax)
    const clientAddress = this.server.requestIP?.(request)?.address
    const { lines, requestId } = podRequestHeaders(request.headers, clientAddress, options)
    this.requestId = requestId
    const read = await this.readInTime()
    if (this.settled) return
    const { body, features } = read
    const target = this.route.path + queryOf(request.url)
    const tries = this.tries = new PodTries(this, read, target, lines, isRescueWanted(request.headers))
    const bytesInMemory = body instanceof Uint8Array ? body.length : 0
    features.wish = requestWish(request.headers, bytesInMemory, this.lease?.keyName, options.wishes)
    this.lease?.charge(read.asked, features.promptTokens)
    await tries.dispatch()
  }

  private async readInTime(): Promise<ReadRequest<RequestBody>> {
    const { deps: { options }, front, request, route } = this
    const tooSlow = setTimeout(() => this.bodyTooSlow(), options.bodyReadTimeoutMs)
    try {
      if (route.prompt === "form") return await this.readForm(() => void tooSlow.refresh())
      const bytes = await readBody(request, options.bodyBytesMax, this.held)
      return readRequest(route, request.headers, bytes, options, front.workshop)
    } finally {
      clearTimeout(tooSlow)
    }
  }

  private async readForm(onProgress: () => void): Promise<ReadRequest<RequestBody>> {
    const { deps: { log, options }, front, request, route } = this
    const scanner = formScanner(route, request.headers)
    const disk = new HeldBytes(front.spooledBytes)
    const room = {
      memoryMax: options.multipartMemoryMax,
      folder: front.spoolFolder,
      memory: this.held,
      disk,
      onProgress,
      log
    }
    const form = this.form = new FormIntake(room, scanner)
    await readPieces(request, options.multipartBytesMax, form)
    return readScannedForm(route, request.headers, form.scanned, options, front.workshop)
  }

  handleEvent(): void {
    this.clientGone()
  }

  clientGone(): void {
    if (this.settled) return
    this.tries?.abort()
    this.settle("aborted", this.tries?.status ?? clientGoneStatus, undefined)
    this.answer.resolve(new Response(null, { status: clientGoneStatus }))
  }

  private outOfTime(): void {
    if (this.settled) return
    const { options } = this.deps
    this.fail(new TimedOut("total", `the request took longer than ${secondsText(options.requestTimeoutMs)}`))
    this.deps.metrics.timedOut("total")
  }

  /** The gateway ends before its answer does. */
  endForStop(): void {
    try {
      this.fail(new GatewayStopping())
    } catch (cause) {
      // Those after it are to end as well.
      this.errorOf(cause)
    }
  }

  private bodyTooSlow(): void {
    if (this.settled) return
    this.refuse(bodyTimedOut())
    this.deps.metrics.timedOut("body")
  }

  private fail(error: GatewayError): void {
    if (this.tries === undefined) this.refuse(error)
    else this.tries.fail(error)
  }

  refuse(error: GatewayError): void {
    if (this.settled) return
    this.tries?.abort()
    this.settle("failed", error.status, undefined)
    this.deps.metrics.refused(error)
    this.handOver(errorResponse(error, this.requestId, this.route.prompt === "messages"))
  }

  respond(head: ResponseHead, body: BodyInit | null, pod: PodAddress): void {
    this.held.release()
    const { exposePodHeader, sessionHeader, sessionTokens } = this.deps.options
    const session = sessionHeader === undefined || sessionTokens === undefined
      ? undefined
      : [sessionHeader, sessionTokens.tokenOf(pod)] as const
    const headers = clientHeaders(head, this.requestId, exposePodHeader ? pod.id : undefined, session)
    this.handOver(new Response(body, { status: head.status, statusText: head.reason, headers }))
  }

  /** A stop that was announced after the request came ends its connection too. */
  private handOver(response: Response): void {
    if (this.front.draining) response.headers.set("connection", "close")
    this.answer.resolve(response)
  }

  settle(outcome: RequestEnd["outcome"], status: number, usage: Usage | undefined): void {
    if (this.settled) return
    this.settled = true
    clearTimeout(this.totalTimer)
    const { deps: { metrics, options }, request, route, server, tries } = this
    const outputTokens = usage?.outputTokens ?? tries?.countedTokens
    try {
      tries?.over(outcome, usage, outputTokens)
      server.timeout?.(request, options.clientIdleTimeoutS)
      metrics.requestEnded(route.path, status, outcome, (performance.now() - this.startedMs) / 1000)
    } catch (cause) {
      // What is wrong with the books is no reason to keep the answer from the client.
      this.errorOf(cause)
    }
    this.lease?.end(outcome, status, usage, outputTokens)
    tries?.release()
    this.held.release()
    this.form?.release()
    this.front.left(this.place)
  }

  /** Of what is no GatewayError, the first goes to the log. */
  errorOf(cause: unknown): GatewayError {
    if (cause instanceof GatewayError) return cause
    return this.defect ??= toGatewayError(cause, this.deps.log)
  }
}

/** Query of a URL with its question mark; empty when there is none. */
const queryOf = (url: string): string => {
  const at = url.indexOf("?")
  return at < 0 ? "" : url.slice(at)
}
