import type { RequestBody, UpstreamRequest } from "./upstream/UpstreamRequest.ts"

/** What of a request goes to pods, kept for as long as another try may need it. */
export class PodRequest {
  private readonly target: string
  private headerLines: string
  private body: RequestBody | undefined
  private readonly repeatable: false | undefined

  /** `target`: path and query. */
  constructor(target: string, headerLines: string, body: RequestBody, repeatable: false | undefined) {
    this.target = target
    this.headerLines = headerLines
    this.body = body
    this.repeatable = repeatable
  }

  whole(firstByteTimeoutMs: number | undefined): UpstreamRequest {
    const { body, headerLines, repeatable, target } = this
    return { method: "POST", target, headerLines, body, repeatable, firstByteTimeoutMs }
  }

  /** For a pod that goes on with a stream. */
  continuation(body: Uint8Array, firstByteTimeoutMs: number | undefined): UpstreamRequest {
    const { headerLines, repeatable } = this
    return { method: "POST", target: "/v1/completions", headerLines, body, repeatable, firstByteTimeoutMs }
  }

  /** An answer is on its way to the client, so nobody gets the whole request any more. */
  answered(mayGoOn: boolean): void {
    this.body = undefined
    if (!mayGoOn) this.headerLines = ""
  }
}
