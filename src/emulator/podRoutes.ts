import { detail, errorAnswer } from "./wireAnswers.ts"
import type { PodState } from "./PodState.ts"
import { health, isPaused, isSleeping, load, metrics, models, resetPrefixCache, version } from "./routes/admin.ts"
import { audio } from "./routes/audio.ts"
import { chatCompletions } from "./routes/chatCompletions.ts"
import { completions } from "./routes/completions.ts"
import { generate } from "./routes/generate.ts"
import { countTokens, messages } from "./routes/messages.ts"
import { classify, embeddings, pooling, rerank, score } from "./routes/pooling.ts"
import { responses } from "./routes/responses.ts"
import { detokenize, tokenize } from "./routes/tokenization.ts"
import { VllmError } from "./VllmError.ts"

type Handler = (pod: PodState, request: Request) => Response | Promise<Response>
type Methods = Readonly<Partial<Record<string, Handler>>>

const generating: Readonly<Record<string, Methods>> = {
  "/v1/chat/completions": { POST: chatCompletions },
  "/v1/completions": { POST: completions },
  "/v1/responses": { POST: responses },
  "/v1/messages": { POST: messages },
  "/v1/messages/count_tokens": { POST: countTokens },
  "/inference/v1/generate": { POST: generate },
  "/tokenize": { POST: tokenize },
  "/detokenize": { POST: detokenize },
  "/v1/models": { GET: models },
  "/health": { GET: health },
  "/ping": { GET: health, POST: health },
  "/version": { GET: version },
  "/load": { GET: load },
  "/metrics": { GET: metrics },
  "/is_sleeping": { GET: isSleeping },
  "/is_paused": { GET: isPaused },
  "/reset_prefix_cache": { POST: resetPrefixCache }
}

const poolingAndAudio: Readonly<Record<string, Methods>> = {
  "/v1/embeddings": { POST: embeddings },
  "/v1/rerank": { POST: rerank },
  "/rerank": { POST: rerank },
  "/v2/rerank": { POST: rerank },
  "/v1/score": { POST: score },
  "/score": { POST: score },
  "/classify": { POST: classify },
  "/pooling": { POST: pooling },
  "/v1/audio/transcriptions": { POST: audio(false) },
  "/v1/audio/translations": { POST: audio(true) }
}

/** The handler of one pod's HTTP server: routing, vLLM's errors, and the headers on every answer. */
export const podHandler = (pod: PodState): (request: Request) => Promise<Response> => {
  const routes = new Map(Object.entries({ ...generating, ...(pod.served.poolingAndAudio ? poolingAndAudio : {}) }))
  return async (request) => {
    const response = await answer(pod, routes.get(pathOf(request.url)), request)
    response.headers.set("server", "uvicorn")
    response.headers.set("vary", "Origin")
    response.headers.set("x-request-id", request.headers.get("x-request-id") ?? crypto.randomUUID().replaceAll("-", ""))
    return response
  }
}

const answer = async (pod: PodState, methods: Methods | undefined, request: Request): Promise<Response> => {
  if (methods === undefined) return detail(404, "Not Found")
  const handler = methods[request.method]
  if (handler === undefined) return detail(405, "Method Not Allowed", { allow: Object.keys(methods).join(", ") })
  try {
    return await handler(pod, request)
  } catch (error) {
    if (error instanceof VllmError) return errorAnswer(error)
    if (request.signal.aborted) return new Response(null, { status: 499 })
    const message = error instanceof Error ? error.message : String(error)
    return errorAnswer(new VllmError(500, "Internal Server Error", message))
  }
}

/** Path of an absolute URL without its query; cheaper than parsing it. */
const pathOf = (url: string): string => {
  const start = url.indexOf("/", url.indexOf("//") + 2)
  const query = url.indexOf("?", start)
  return query < 0 ? url.slice(start) : url.slice(start, query)
}
