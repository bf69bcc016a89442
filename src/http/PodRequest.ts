import type { RequestBody, UpstreamRequest } from "./upstream/UpstreamRequest.ts"

/** What of a request goes to pods, kept for as long as another try may need it. */
export class PodRequest {
  private readonly target: string
  private headerLines: string
  private body: RequestBody | undefined
  /** Running it twice does no harm. */
  readonly isRepeatable: boolean

  /** `target`: path and query. */
  constructor(target: string, headerLines: string, body: RequestBody, isRepeatable: boolean) {
    this.target = target
    this.headerLines = headerLines
    this.body = body
    this.isRepeatable = isRepeatable
  }

  whole(firstByteTimeoutMs: number | undefined): UpstreamRequest {
    const { body, headerLines, isRepeatable, target } = this
    return { method: "POST", target, headerLines, body, isRepeatable, firstByteTimeoutMs }
  }

  /** For a pod that goes on with a stream. */
  continuation(body: Uint8Array, firstByteTimeoutMs: number | undefined): UpstreamRequest {
    const { headerLines, isRepeatable } = this
    return { method: "POST", target: "/v1/completions", headerLines, body, isRepeatable, firstByteTimeoutMs }
  }

  /** An answer is on its way to the client, so nobody gets the whole request any more. */
  answered(mayGoOn: boolean): void {
    this.body = undefined
    if (!mayGoOn) this.headerLines = ""
  }
}
