/**
 * How the prompt is read out of the body.
 * chat: messages. completions: prompt. responses: instructions and input. messages: Anthropic's system and messages.
 * tokens: token_ids. texts: inputs that are prefilled but share no cached prefix worth following.
 * form: audio in a multipart form. none: nothing reaches the GPU.
 */
export type PromptKind = "chat" | "completions" | "responses" | "messages" | "tokens" | "texts" | "form" | "none"

export interface ProxyRoute {
  readonly path: string
  readonly prompt: PromptKind
  /** It decodes, so output tokens are expected. */
  readonly generates: boolean
  /**
   * What the event that carries the first output contains. Undefined: the first event already does.
   * vLLM sends the first events of a Responses stream before the engine has seen the request.
   */
  readonly firstTokenMark?: string
}

/** Everything that is passed on to a pod; all POST. */
export const proxyRoutes: ReadonlyArray<ProxyRoute> = [
  { path: "/v1/chat/completions", prompt: "chat", generates: true },
  { path: "/v1/completions", prompt: "completions", generates: true },
  { path: "/v1/chat/completions/render", prompt: "none", generates: false },
  { path: "/v1/completions/render", prompt: "none", generates: false },
  {
    path: "/v1/responses",
    prompt: "responses",
    generates: true,
    firstTokenMark: "response.output_item.added"
  },
  { path: "/v1/messages", prompt: "messages", generates: true },
  { path: "/v1/messages/count_tokens", prompt: "none", generates: false },
  { path: "/v1/embeddings", prompt: "texts", generates: false },
  { path: "/v2/embed", prompt: "texts", generates: false },
  { path: "/v1/rerank", prompt: "texts", generates: false },
  { path: "/rerank", prompt: "texts", generates: false },
  { path: "/v2/rerank", prompt: "texts", generates: false },
  { path: "/v1/score", prompt: "texts", generates: false },
  { path: "/score", prompt: "texts", generates: false },
  { path: "/classify", prompt: "texts", generates: false },
  { path: "/pooling", prompt: "texts", generates: false },
  { path: "/tokenize", prompt: "none", generates: false },
  { path: "/detokenize", prompt: "none", generates: false },
  { path: "/v1/audio/transcriptions", prompt: "form", generates: true },
  { path: "/v1/audio/translations", prompt: "form", generates: true },
  { path: "/inference/v1/generate", prompt: "tokens", generates: true }
]
