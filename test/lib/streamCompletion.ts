import { rawRequest, type RawResponse } from "./rawHttp.ts"

/** Asks for a streamed completion of the recorded pods' model, on a connection of its own. */
export const streamCompletion = (url: string, prompt: string): Promise<RawResponse> =>
  rawRequest(url, {
    method: "POST",
    path: "/v1/completions",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "tiny", prompt, max_tokens: 8, stream: true })
  })
