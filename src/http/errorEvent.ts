import type { GatewayError } from "../errors.ts"
import { errorBody } from "./errors.ts"
import type { PromptKind } from "./routes.ts"

/**
 * The event that ends a stream which lost its pod after the client had seen some of it, in the form that the route's
 * SDK raises. No `[DONE]` follows: that would tell of a whole answer. `afterEvent`: what was sent ends with an event's
 * blank line; otherwise that line comes first, so that this event stands by itself.
 */
export const errorEvent = (error: GatewayError, prompt: PromptKind, afterEvent: boolean): Uint8Array => {
  const start = afterEvent ? "" : "\n\n"
  return Buffer.from(`${start}${eventName(prompt)}data: ${JSON.stringify(eventBody(error, prompt))}\n\n`)
}

const eventName = (prompt: PromptKind): string =>
  prompt === "messages" || prompt === "responses" ? "event: error\n" : ""

const eventBody = (error: GatewayError, prompt: PromptKind): object => {
  if (prompt !== "responses") return errorBody(error, prompt === "messages")
  const { code, message, param } = error
  return { type: "error", code, message, param: param ?? null, ...errorBody(error, false) }
}
