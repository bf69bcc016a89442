import { GatewayError, InternalError, Overloaded, PodUnreachable, TimedOut } from "../errors.ts"
import type { UpstreamError } from "./upstream/UpstreamRequest.ts"

/** OpenAI's error body; Anthropic's routes get the member that its SDK looks for as well. */
export const errorResponse = (error: GatewayError, requestId: string | undefined, anthropic: boolean): Response => {
  const { message, type, param, code } = error
  const body = { error: { message, type, param: param ?? null, code } }
  const headers: Record<string, string> = {}
  if (requestId !== undefined) headers["x-request-id"] = requestId
  if (error.retryAfterS !== undefined) headers["retry-after"] = String(Math.max(1, Math.ceil(error.retryAfterS)))
  return Response.json(anthropic ? { type: "error", ...body } : body, { status: error.status, headers })
}

/** What is thrown becomes an answer; what is no GatewayError is a defect and goes to the log. */
export const toGatewayError = (cause: unknown, log: (message: string, cause: unknown) => void): GatewayError => {
  if (cause instanceof GatewayError) return cause
  log("a request failed by a defect of the gateway", cause)
  return new InternalError({ message: "the gateway failed on this request; its log says why" })
}

/** What the client hears when every pod that was tried failed. */
export const upstreamGatewayError = (error: UpstreamError): GatewayError => {
  switch (error.kind) {
    case "connect-timeout":
    case "first-byte-timeout":
    case "silent":
      return new TimedOut({ message: `the pod did not answer in time: ${error.message}` })
    case "exhausted":
      return new Overloaded({ message: error.message, retryAfterS: 1 })
    default:
      return new PodUnreachable({ message: `the pod did not answer: ${error.message}` })
  }
}
