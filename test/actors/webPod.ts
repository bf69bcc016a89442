import { Effect, type Scope } from "effect"
import { type PodAddress, podAddressFromUrl } from "../../src/core/Pod.ts"

/** What a pod answers; a test changes it as it goes. */
export interface WebPodAnswers {
  running: number
  waiting: number
  blockSizeTokens: number
  gpuBlocks: number
  processStartS: number
  promptTokens: number
  awake: boolean
  healthStatus: number
  models: ReadonlyArray<string>
  version: string
  /** Answers instead of the page of /metrics. */
  hostilePage: (() => Response | Promise<Response>) | undefined
}

export interface WebPod {
  readonly address: PodAddress
  readonly answers: WebPodAnswers
  /** Requests seen, by path. */
  readonly seen: Map<string, number>
  /** Most requests for /metrics that were open at once. */
  readonly scrapesAtOnce: () => number
  readonly stop: () => Promise<void>
  /** Serves again on the same port. */
  readonly start: () => void
}

export const healthyAnswers = (): WebPodAnswers => ({
  running: 0,
  waiting: 0,
  blockSizeTokens: 16,
  gpuBlocks: 1000,
  processStartS: 1_700_000_000,
  promptTokens: 0,
  awake: true,
  healthStatus: 200,
  models: ["qwen"],
  version: "0.32.0",
  hostilePage: undefined
})

const page = (answers: WebPodAnswers): string =>
  [
    `vllm:num_requests_running{engine="0"} ${answers.running}`,
    `vllm:num_requests_waiting{engine="0"} ${answers.waiting}`,
    `vllm:kv_cache_usage_perc{engine="0"} 0.25`,
    `vllm:prompt_tokens_total{engine="0"} ${answers.promptTokens}`,
    `vllm:cache_config_info{engine="0",block_size="${answers.blockSizeTokens}",num_gpu_blocks="${answers.gpuBlocks}"} 1`,
    `vllm:engine_sleep_state{engine="0",sleep_state="awake"} ${answers.awake ? 1 : 0}`,
    `process_start_time_seconds ${answers.processStartS}`,
    ""
  ].join("\n")

/** A pod over HTTP on a free port, with the routes that the pod's actor asks. */
export const webPod = (changes: Partial<WebPodAnswers> = {}): Effect.Effect<WebPod, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => startWebPod({ ...healthyAnswers(), ...changes })),
    (pod) => Effect.promise(() => pod.stop())
  )

const startWebPod = (answers: WebPodAnswers): WebPod => {
  const seen = new Map<string, number>()
  let open = 0
  let openMax = 0
  const metrics = async (): Promise<Response> => {
    openMax = Math.max(openMax, ++open)
    try {
      return answers.hostilePage === undefined ? new Response(page(answers)) : await answers.hostilePage()
    } finally {
      open--
    }
  }
  const answer = (request: Request): Response | Promise<Response> => {
    const path = new URL(request.url).pathname
    seen.set(path, (seen.get(path) ?? 0) + 1)
    if (path === "/metrics") return metrics()
    if (path === "/health") return new Response(null, { status: answers.healthStatus })
    if (path === "/version") return Response.json({ version: answers.version })
    return Response.json({ object: "list", data: answers.models.map((id) => ({ id, object: "model" })) })
  }
  const serve = (port: number) => Bun.serve({ hostname: "127.0.0.1", port, fetch: answer })
  let server = serve(0)
  const address = podAddressFromUrl(`http://127.0.0.1:${server.port}`)
  if (typeof address === "string") throw new Error(address)
  return {
    address,
    answers,
    seen,
    scrapesAtOnce: () => openMax,
    stop: () => server.stop(true),
    start: () => {
      server = serve(address.port)
    }
  }
}
