import type { PodAddress } from "../../src/core/Pod.ts"
import type { UpstreamCall } from "../../src/http/upstream/UpstreamCall.ts"
import type { UpstreamClient } from "../../src/http/upstream/UpstreamClient.ts"
import type { RequestBody, ResponseHead, UpstreamError } from "../../src/http/upstream/UpstreamRequest.ts"

interface Answer {
  readonly head: ResponseHead | undefined
  readonly body: Buffer
  readonly error: UpstreamError | undefined
  readonly ends: number
}

interface Sending {
  readonly method?: string
  readonly body?: RequestBody | string | undefined
  readonly isRepeatable?: boolean
  readonly onData?: (call: UpstreamCall, bytes: Uint8Array) => void
  readonly onHead?: (call: UpstreamCall) => void
}

/** Sends one request and collects what the handler is told, up to a tick after its end. */
export const sendUpstream = (client: UpstreamClient, address: PodAddress, sending: Sending = {}) => {
  let head: ResponseHead | undefined
  const pieces: Array<Uint8Array> = []
  let ends = 0
  const { promise, resolve } = Promise.withResolvers<Answer>()
  const finish = (error: UpstreamError | undefined) => {
    ends++
    // A later tick, so that a second end would be counted.
    setTimeout(() => resolve({ head, body: Buffer.concat(pieces), error, ends }), 1)
  }
  const body = typeof sending.body === "string" ? Buffer.from(sending.body) : sending.body
  const { isRepeatable = true, method = "POST" } = sending
  const call = client.request(
    address,
    { method, target: "/v1/x?y=z", headerLines: "a: b\r\n", body, isRepeatable },
    {
      onHead: (value) => {
        head = value
        sending.onHead?.(call)
      },
      onData: (bytes) => {
        pieces.push(bytes)
        sending.onData?.(call, bytes)
      },
      onEnd: () => finish(undefined),
      onError: finish
    }
  )
  return { call, answer: promise }
}

/** A whole answer with this text. */
export const ok = (text: string) => `HTTP/1.1 200 OK\r\ncontent-length: ${text.length}\r\n\r\n${text}`
