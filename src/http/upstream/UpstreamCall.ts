import type { UpstreamConnection } from "./UpstreamConnection.ts"
import type { UpstreamErrorKind, UpstreamHandler, UpstreamRequest } from "./UpstreamRequest.ts"

/** One exchange, from the request to its end; it may move to a fresh socket once. */
export class UpstreamCall {
  /** Until the pod begins to answer: nobody needs it after that. */
  request: UpstreamRequest | undefined
  readonly handler: UpstreamHandler
  connection: UpstreamConnection | undefined
  private ended = false
  private triedAgain = false

  constructor(request: UpstreamRequest, handler: UpstreamHandler) {
    this.request = request
    this.handler = handler
  }

  /** Closes the socket at once. Harmless after the end. */
  abort(): void {
    if (this.ended) return
    this.ended = true
    this.connection?.destroy()
    this.connection = undefined
  }

  /** Stops reading from the pod; what one read had brought already still comes. */
  pause(): void {
    if (!this.ended) this.connection?.pause()
  }

  resume(): void {
    if (!this.ended) this.connection?.resume()
  }

  /** True once: the request crossed the end of a stale socket and may go out again. */
  mayTryAgain(): boolean {
    if (this.triedAgain) return false
    this.triedAgain = true
    return true
  }

  end(): void {
    if (this.ended) return
    this.ended = true
    this.connection = undefined
    this.handler.onEnd()
  }

  fail(kind: UpstreamErrorKind, message: string, answered: boolean): void {
    if (this.ended) return
    this.ended = true
    this.connection = undefined
    this.handler.onError({ kind, message, answered })
  }
}
