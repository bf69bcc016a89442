import { Exposition, type Labels } from "./Exposition.ts"
import type { PodState } from "./PodState.ts"

/** `GET /metrics` of a pod, with the names, labels and order of vLLM 0.32. */
export const metricsPage = (pod: PodState): string => {
  const page = new Exposition(pod.startedAtS)
  const labels: Labels = { engine: "0", model_name: pod.served.model }
  processMetrics(page, pod)
  engineGauges(page, pod, labels)
  tokenCounters(page, pod, labels)
  requestCounters(page, pod, labels)
  tokenHistograms(page, pod, labels)
  timeHistograms(page, pod, labels)
  loraInfo(page, pod)
  cacheConfig(page, pod)
  return page.toText()
}

const processMetrics = (page: Exposition, pod: PodState): void => {
  const memory = process.memoryUsage()
  page.gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", [[{}, memory.rss]])
  page.gauge("process_resident_memory_bytes", "Resident memory size in bytes.", [[{}, memory.rss]])
  page.gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", [
    [{}, Math.floor(pod.startedAtS * 100) / 100]
  ])
}

const engineGauges = (page: Exposition, pod: PodState, labels: Labels): void => {
  const { engine } = pod.driver
  const waiting = engine.waiting.length
  for (
    const [name, what] of [
      ["estimated_flops", "Estimated number of floating point operations per GPU"],
      ["estimated_read_bytes", "Estimated number of bytes read from memory per GPU"],
      ["estimated_write_bytes", "Estimated number of bytes written to memory per GPU"]
    ]
  ) {
    page.counter(`vllm:${name}_per_gpu`, `${what} (for Model Flops Utilization calculations).`, [[labels, 0]])
  }
  page.gauge("vllm:num_requests_running", "Number of requests in model execution batches.", [
    [labels, engine.running.length]
  ])
  page.gauge("vllm:num_requests_waiting", "Number of requests waiting to be processed.", [[labels, waiting]])
  page.gauge(
    "vllm:num_requests_waiting_by_reason",
    "Number of waiting requests by reason. Reason labels: 'capacity' = waiting for scheduling capacity; 'deferred' = " +
      "deferred by transient constraints (LoRA budget, KV transfer, blocked status). Sum of all reasons equals " +
      "vllm:num_requests_waiting.",
    [[{ ...labels, reason: "capacity" }, waiting], [{ ...labels, reason: "deferred" }, 0]]
  )
  page.gauge(
    "vllm:engine_sleep_state",
    "Engine sleep state; awake = 0 means engine is sleeping; awake = 1 means engine is awake; weights_offloaded = 1 " +
      "means sleep level 1; discard_all = 1 means sleep level 2.",
    [
      [{ ...labels, sleep_state: "awake" }, 1],
      [{ ...labels, sleep_state: "weights_offloaded" }, 0],
      [{ ...labels, sleep_state: "discard_all" }, 0]
    ]
  )
  page.gauge("vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", [[labels, engine.kvUsage]])
}

const tokenCounters = (page: Exposition, pod: PodState, labels: Labels): void => {
  const { counters } = pod.driver.engine
  const cached = counters.promptTokensCached
  const count = (name: string, help: string, value: number) => page.counter(`vllm:${name}`, help, [[labels, value]])
  const inTokens = "in terms of number of"
  count("prefix_cache_queries", `Prefix cache queries, ${inTokens} queried tokens.`, counters.prefixQueryTokens)
  count("prefix_cache_hits", `Prefix cache hits, ${inTokens} cached tokens.`, counters.prefixHitTokens)
  const external = "from KV connector cross-instance cache sharing"
  count("external_prefix_cache_queries", `External prefix cache queries ${external}, ${inTokens} queried tokens.`, 0)
  count("external_prefix_cache_hits", `External prefix cache hits ${external}, ${inTokens} cached tokens.`, 0)
  count("mm_cache_queries", `Multi-modal cache queries, ${inTokens} queried items.`, 0)
  count("mm_cache_hits", `Multi-modal cache hits, ${inTokens} cached items.`, 0)
  count("num_preemptions", "Cumulative number of preemption from the engine.", counters.preemptions)
  count("prompt_tokens", "Number of prefill tokens processed.", counters.promptTokens)
  page.counter("vllm:prompt_tokens_by_source", "Number of prompt tokens by source.", [
    [{ ...labels, source: "local_compute" }, counters.promptTokens - cached],
    [{ ...labels, source: "local_cache_hit" }, cached],
    [{ ...labels, source: "external_kv_transfer" }, 0]
  ])
  count("prompt_tokens_cached", "Number of cached prompt tokens (local + external).", cached)
  page.counter(
    "vllm:prompt_tokens_cached_by_source",
    "Prefix-cache hit tokens by the cache tier that supplied them: device (local HBM), host (offloaded to DRAM), disk, " +
      "p2p (transferred from another vLLM instance) or external_unspecified. Counted at admission; sums to " +
      "vllm:prefix_cache_hits + vllm:external_prefix_cache_hits.",
    ["device", "host", "p2p", "disk", "external_unspecified"]
      .map((source) => [{ ...labels, source }, source === "device" ? cached : 0] as const)
  )
  count("generation_tokens", "Number of generation tokens processed.", counters.generationTokens)
}

const requestCounters = (page: Exposition, pod: PodState, labels: Labels): void => {
  const endings: Readonly<Record<string, number>> = pod.driver.endings
  page.counter(
    "vllm:request_success",
    "Count of successfully processed requests.",
    ["stop", "length", "abort", "error", "repetition"]
      .map((reason) => [{ ...labels, finished_reason: reason }, endings[reason] ?? 0] as const)
  )
  const model_name = pod.served.model
  page.counter("vllm:admission_rejections", "Number of admission attempts rejected by a queue limit, by reason.", [
    [{ model_name, reason: "max_num_queued_reqs" }, pod.driver.rejections],
    [{ model_name, reason: "max_num_queued_tokens" }, 0]
  ])
}

const tokenHistograms = (page: Exposition, pod: PodState, labels: Labels): void => {
  const { counters } = pod.driver.engine
  const { choicesAsked, outputTokensAsked } = pod
  const add = (name: string, help: string, histogram: Parameters<Exposition["histogram"]>[3]) =>
    page.histogram(`vllm:${name}`, help, labels, histogram)
  add("request_prompt_tokens", "Number of prefill tokens processed.", counters.requestPromptTokens)
  add("request_generation_tokens", "Number of generation tokens processed.", counters.requestGenerationTokens)
  add("iteration_tokens_total", "Histogram of number of tokens per engine_step.", counters.stepTokens)
  add(
    "request_max_num_generation_tokens",
    "Histogram of maximum number of requested generation tokens.",
    counters.requestGenerationTokens
  )
  add("request_params_n", "Histogram of the n request parameter.", choicesAsked)
  add("request_params_max_tokens", "Histogram of the max_tokens request parameter.", outputTokensAsked)
}

const timeHistograms = (page: Exposition, pod: PodState, labels: Labels): void => {
  const { counters } = pod.driver.engine
  const add = (name: string, help: string, histogram: Parameters<Exposition["histogram"]>[3]) =>
    page.histogram(`vllm:${name}`, `Histogram of ${help}`, labels, histogram)
  add("time_to_first_token_seconds", "time to first token in seconds.", counters.firstTokenS)
  add("inter_token_latency_seconds", "inter-token latency in seconds.", counters.interTokenS)
  add("request_time_per_output_token_seconds", "time_per_output_token_seconds per request.", counters.outputTokenS)
  add("e2e_request_latency_seconds", "e2e request latency in seconds.", counters.endToEndS)
  add("request_queue_time_seconds", "time spent in WAITING phase for request.", counters.queueS)
  add("request_inference_time_seconds", "time spent in RUNNING phase for request.", counters.inferenceS)
  add("request_prefill_time_seconds", "time spent in PREFILL phase for request.", counters.prefillS)
  add("request_decode_time_seconds", "time spent in DECODE phase for request.", counters.decodeS)
  add("request_num_preemptions", "the number of times a request was preempted.", counters.preemptionsByRequest)
  add(
    "request_prefill_kv_computed_tokens",
    "new KV tokens computed during prefill (excluding cached tokens).",
    counters.requestComputedTokens
  )
}

/** The value is when the lists were true, as vLLM has it. */
const loraInfo = (page: Exposition, pod: PodState): void => {
  if (pod.served.loraAdapters.length === 0) return
  const { running, waiting } = pod.driver.engine
  const adapters = (requests: typeof running): string =>
    [...new Set(requests.map((request) => request.owner.adapter))].filter((name) => name !== "").join(",")
  page.gauge("vllm:lora_requests_info", "Running stats on lora requests.", [[{
    max_lora: String(pod.served.loraAdapters.length),
    running_lora_adapters: adapters(running),
    waiting_lora_adapters: adapters(waiting)
  }, Date.now() / 1000]])
}

const cacheConfig = (page: Exposition, pod: PodState): void => {
  const { pool } = pod.driver.engine
  const blockSize = String(pool.blockSizeTokens)
  page.gauge("vllm:cache_config_info", "Information of the LLMEngine CacheConfig", [[{
    _block_size_resolved: "True",
    block_size: blockSize,
    cache_dtype: "auto",
    cache_hit_alignment_tokens: "None",
    effective_attention_block_size: blockSize,
    enable_mamba_shared_prefix_checkpoint: "False",
    enable_prefix_caching: "True",
    engine: "0",
    gpu_memory_utilization: "0.92",
    hash_block_size: "None",
    is_attention_free: "False",
    kv_cache_dtype_skip_layers: "[]",
    kv_cache_layout: "None",
    kv_cache_max_concurrency: String(pool.usableBlocks * pool.blockSizeTokens / pod.served.maxModelLen),
    kv_cache_memory_bytes: "None",
    kv_cache_size_tokens: String(pool.blockCount * pool.blockSizeTokens),
    kv_offloading_backend: "native",
    kv_offloading_size: "None",
    kv_sharing_fast_prefill: "False",
    mamba_block_size: "None",
    mamba_cache_dtype: "auto",
    mamba_cache_mode: "none",
    mamba_page_size_padded: "None",
    mamba_ssm_cache_dtype: "float32",
    num_cpu_blocks: "None",
    num_gpu_blocks: String(pool.blockCount),
    num_gpu_blocks_override: "None",
    prefix_cache_retention_interval: "0",
    prefix_caching_hash_algo: "sha256_cbor",
    prefix_match_unit: "None",
    replayssm_buffer_len: "16",
    skip_page_size_padded: "None",
    sliding_window: "None",
    swa_bounded_replay: "True",
    use_kda_recoverssm: "False",
    use_replayssm: "False",
    user_specified_block_size: "True"
  }, 1]])
}
