import {
  GatewayError,
  InternalError,
  Overloaded,
  PodUnreachable,
  SpoolFailed,
  TimedOut,
  type TimeoutPhase
} from "../errors.ts"
import type { UpstreamError } from "./upstream/UpstreamRequest.ts"

/** OpenAI's error body; Anthropic's routes get the member that its SDK looks for as well. */
export const errorBody = ({ message, type, param, code }: GatewayError, anthropic: boolean): object => {
  const body = { error: { message, type, param: param ?? null, code } }
  return anthropic ? { type: "error", ...body } : body
}

export const errorResponse = (error: GatewayError, requestId: string | undefined, anthropic: boolean): Response => {
  const headers: Record<string, string> = {}
  if (requestId !== undefined) headers["x-request-id"] = requestId
  if (error.status === 401) headers["www-authenticate"] = "Bearer"
  if (error.retryAfterS !== undefined) headers["retry-after"] = String(Math.max(1, Math.ceil(error.retryAfterS)))
  return Response.json(errorBody(error, anthropic), { status: error.status, headers })
}

/** What is thrown becomes an answer; what is no GatewayError is a defect and goes to the log. */
export const toGatewayError = (cause: unknown, log: (message: string, cause: unknown) => void): GatewayError => {
  if (cause instanceof GatewayError) return cause
  log("a request failed by a defect of the gateway", cause)
  return new InternalError({ message: "the gateway failed on this request; its log says why" })
}

/** The phase whose time was over, when that is what went wrong. */
export const timeoutPhase = (error: UpstreamError): TimeoutPhase | undefined => {
  switch (error.kind) {
    case "connect-timeout":
      return "connect"
    case "first-byte-timeout":
      return "first-byte"
    case "silent":
      return "between-bytes"
    default:
      return undefined
  }
}

/** What the client hears when every pod that was tried failed. `retryAfterS`: when a socket may be free. */
export const upstreamGatewayError = (error: UpstreamError, retryAfterS: number): GatewayError => {
  const phase = timeoutPhase(error)
  if (phase !== undefined) return new TimedOut(phase, `the pod did not answer in time: ${error.message}`)
  if (error.kind === "unsent") {
    return new SpoolFailed({ message: "the gateway could not read the request's body again" })
  }
  return error.kind === "exhausted"
    ? new Overloaded("pod_connections_full", error.message, retryAfterS)
    : new PodUnreachable({ message: `the pod did not answer: ${error.message}` })
}
