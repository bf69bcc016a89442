import type { ResponseHead, UpstreamError, UpstreamHandler } from "./UpstreamRequest.ts"

/**
 * A handler whose own throws come to `defect`. Thrown into the client they would be taken for a fault of the pod, and
 * after the end of the answer nobody would hear of them.
 */
export abstract class GuardedHandler implements UpstreamHandler {
  onHead(head: ResponseHead): void {
    try {
      this.headCame(head)
    } catch (cause) {
      this.defect(cause)
    }
  }

  onData(bytes: Uint8Array): void {
    try {
      this.bytesCame(bytes)
    } catch (cause) {
      this.defect(cause)
    }
  }

  onEnd(): void {
    try {
      this.endCame()
    } catch (cause) {
      this.defect(cause)
    }
  }

  onError(error: UpstreamError): void {
    try {
      this.errorCame(error)
    } catch (cause) {
      this.defect(cause)
    }
  }

  protected abstract headCame(head: ResponseHead): void
  protected abstract bytesCame(bytes: Uint8Array): void
  protected abstract endCame(): void
  protected abstract errorCame(error: UpstreamError): void
  /** Ends the exchange. Does not throw. */
  protected abstract defect(cause: unknown): void
}
