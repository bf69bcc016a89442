import type { GatewayError } from "../errors.ts"
import { errorBody } from "../http/errors.ts"
import type { FrameWriter } from "./wire/FrameWriter.ts"
import { immediateResponse } from "./wire/processingResponse.ts"

/** llm-d's header that says why a request was dropped; absent where the request itself was wrong. */
const droppedReasonHeader = "x-llm-d-request-dropped-reason"

const droppedReason = ({ _tag, code, status }: GatewayError): string | undefined => {
  if (_tag === "NoPodAvailable") return "rejected-no-endpoints"
  if (_tag === "TimedOut" || code === "queue_timeout") return "rejected-ttl-expired"
  return status === 429 ? "rejected-saturated" : undefined
}

/** The gateway's own error as an answer of Envoy's to the client. */
export const refusalResponse = (
  writer: FrameWriter,
  error: GatewayError,
  requestId: string | null,
  anthropic: boolean
): Buffer => {
  const headers: Array<readonly [string, string]> = [["content-type", "application/json"]]
  if (requestId !== null) headers.push(["x-request-id", requestId])
  const reason = droppedReason(error)
  if (reason !== undefined) headers.push([droppedReasonHeader, reason])
  if (error.retryAfterS !== undefined) headers.push(["retry-after", String(Math.max(1, Math.ceil(error.retryAfterS)))])
  return immediateResponse(
    writer,
    error.status,
    headers,
    JSON.stringify(errorBody(error, anthropic)),
    `warmroute_${error.code}`
  )
}
