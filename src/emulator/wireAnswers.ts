import type { Generation } from "./Generation.ts"
import { VllmError } from "./VllmError.ts"

/** vLLM's `system_fingerprint`; the version is what `/version` says. */
export const vllmVersion = "0.32.0"
export const systemFingerprint = "vllm-0.32.0-292c18f2"

export const jsonText = (json: string, status = 200): Response =>
  new Response(json, { status, headers: { "content-type": "application/json" } })

export const jsonAnswer = (value: unknown, status = 200): Response => jsonText(JSON.stringify(value), status)

export const streamAnswer = (body: ReadableStream<Uint8Array>): Response =>
  new Response(body, { headers: { "content-type": "text/event-stream; charset=utf-8" } })

/** Starlette's plain errors of routing. */
export const detail = (status: number, text: string, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify({ detail: text }), {
    status,
    headers: { "content-type": "application/json", ...headers }
  })

export const errorAnswer = (error: VllmError): Response => jsonText(error.toJson(), error.status)

/** The answer once all of it is there; none when the client left before, or the pod stopped. */
export const wholeAnswer = async (
  generations: ReadonlyArray<Generation>,
  answer: () => Response
): Promise<Response> => {
  await Promise.all(generations.map((generation) => generation.whenEnded))
  return generations.some((generation) => generation.aborted) ? clientClosed() : answer()
}

/** The client left before its answer; nobody reads this. */
export const clientClosed = (): Response => new Response(null, { status: 499 })

export const dataEvent = (json: string): string => `data: ${json}\n\n`

/** Server-sent event with a name, as the Anthropic and Responses APIs use them. */
export const namedEvent = (name: string, json: string): string => `event: ${name}\ndata: ${json}\n\n`

/** Inside of a JSON string, without its quotes. */
export const jsonInner = (text: string): string => JSON.stringify(text).slice(1, -1)

/** `x-request-id` of the client, which vLLM builds its ids on, or a random id. */
export const requestIdOf = (request: Request, random: string): string => request.headers.get("x-request-id") ?? random
