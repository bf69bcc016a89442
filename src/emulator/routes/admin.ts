import { jsonAnswer, vllmVersion } from "../wireAnswers.ts"
import { metricsPage } from "../metricsPage.ts"
import { type PodState, randomId } from "../PodState.ts"

/** `GET /v1/models`: the base model, then its LoRA adapters. */
export const models = (pod: PodState): Response => {
  const { model, loraAdapters, maxModelLen } = pod.served
  const created = Math.floor(Date.now() / 1000)
  return jsonAnswer({
    object: "list",
    data: [
      modelCard(model, created, `./${model}`, null, maxModelLen),
      ...loraAdapters.map((name) => modelCard(name, created, `./loras/${name}`, model, null))
    ]
  })
}

const modelCard = (id: string, created: number, root: string, parent: string | null, maxModelLen: number | null) => ({
  id,
  object: "model",
  created,
  owned_by: "vllm",
  root,
  parent,
  max_model_len: maxModelLen,
  permission: [{
    id: `modelperm-${randomId()}`,
    object: "model_permission",
    created,
    allow_create_engine: false,
    allow_sampling: true,
    allow_logprobs: true,
    allow_search_indices: false,
    allow_view: true,
    allow_fine_tuning: false,
    organization: "*",
    group: null,
    is_blocking: false
  }]
})

/** `GET /health`, `GET` and `POST /ping` */
export const health = (): Response => new Response(null)

export const version = (): Response => jsonAnswer({ version: vllmVersion })

/** As with `--enable-server-load-tracking`. */
export const load = ({ driver }: PodState): Response =>
  jsonAnswer({ server_load: driver.engine.running.length + driver.engine.waiting.length })

export const metrics = (pod: PodState): Response =>
  new Response(metricsPage(pod), { headers: { "content-type": "text/plain; version=1.0.0; charset=utf-8" } })

/** Development routes of vLLM that need no state of ours. */
export const isSleeping = (): Response => jsonAnswer({ is_sleeping: false })
export const isPaused = (): Response => jsonAnswer({ is_paused: false })

export const resetPrefixCache = (pod: PodState): Response => jsonAnswer({ success: pod.driver.engine.pool.reset() })
