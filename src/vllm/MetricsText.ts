import type { LoraActivity } from "../core/LoraActivity.ts"
import { type ExpositionLimits, forEachSample, type Sample } from "./expositionText.ts"

/** What one scrape of a pod says, summed over its data-parallel ranks. */
export interface PodMetrics {
  /** Requests in the running batch. */
  readonly running: number
  /** Requests queued inside the engine, whatever the reason. */
  readonly waiting: number
  /** Share of the KV blocks in use, in [0, 1]; ranks weigh by their blocks. */
  readonly kvUsage: number
  readonly blockSizeTokens?: number | undefined
  /** KV blocks of all ranks together. */
  readonly gpuBlocks?: number | undefined
  /** Unix time; a change means that the pod restarted. Absent where vLLM runs several API processes. */
  readonly processStartS?: number | undefined
  readonly promptTokensTotal?: number | undefined
  readonly generationTokensTotal?: number | undefined
  /** Prompt tokens looked up in the prefix cache, and those found. */
  readonly prefixQueriesTotal?: number | undefined
  readonly prefixHitsTotal?: number | undefined
  /** False while any rank sleeps. */
  readonly awake: boolean
  /** Absent when no LoRA adapter was ever asked for; wrong under data parallelism, where vLLM shows one rank's. */
  readonly lora?: LoraActivity | undefined
}

/** The page is not vLLM's. */
export interface MetricsProblem {
  readonly _tag: "MetricsProblem"
  readonly why: string
}

export interface MetricsTextLimits extends ExpositionLimits {
  /** Data-parallel ranks; series of further ones are passed over. */
  readonly ranksMax: number
  readonly adaptersMax: number
}

export const metricsTextLimits: MetricsTextLimits = {
  lineCharsMax: 65_536,
  samplesMax: 20_000,
  ranksMax: 1024,
  adaptersMax: 1024
}

/** Families with one number a rank. The second name of a family is that of vLLM before 0.9. */
const rankFamilies: ReadonlyMap<string, keyof RankNumbers> = new Map([
  ["vllm:num_requests_running", "running"],
  ["vllm:num_requests_waiting", "waiting"],
  ["vllm:kv_cache_usage_perc", "kvUsage"],
  ["vllm:gpu_cache_usage_perc", "kvUsage"],
  ["vllm:prompt_tokens_total", "promptTokens"],
  ["vllm:generation_tokens_total", "generationTokens"],
  ["vllm:prefix_cache_queries_total", "prefixQueries"],
  ["vllm:gpu_prefix_cache_queries_total", "prefixQueries"],
  ["vllm:prefix_cache_hits_total", "prefixHits"],
  ["vllm:gpu_prefix_cache_hits_total", "prefixHits"]
])

const cacheConfig = "vllm:cache_config_info"
const sleepState = "vllm:engine_sleep_state"
const loraInfo = "vllm:lora_requests_info"
const processStart = "process_start_time_seconds"

const wanted: ReadonlySet<string> = new Set([...rankFamilies.keys(), cacheConfig, sleepState, loraInfo, processStart])

interface RankNumbers {
  running?: number
  waiting?: number
  kvUsage?: number
  promptTokens?: number
  generationTokens?: number
  prefixQueries?: number
  prefixHits?: number
  blockSizeTokens?: number
  gpuBlocks?: number
}

interface Page {
  readonly ranks: Map<string, RankNumbers>
  awake: boolean
  processStartS: number | undefined
  /** Of the newest series: vLLM never removes one and writes the time as its value. */
  lora: { readonly atS: number; readonly labels: ReadonlyMap<string, string> } | undefined
}

/** A label that holds a positive whole number, which may still be absurd for a machine: hence the bound. */
const labelCount = (labels: ReadonlyMap<string, string>, name: string, max: number): number | undefined => {
  const text = labels.get(name)
  if (text === undefined || !/^[0-9]{1,12}$/.test(text)) return undefined
  const count = Number(text)
  return count > 0 && count <= max ? count : undefined
}

const blockSizeTokensMax = 1_048_576
/** Sums of such numbers over all ranks stay finite; no counter of vLLM comes near. */
const valueMax = Number.MAX_SAFE_INTEGER
const gpuBlocksMax = 2_147_483_647

const rankOf = (page: Page, labels: ReadonlyMap<string, string>, ranksMax: number): RankNumbers | undefined => {
  const engine = labels.get("engine") ?? ""
  let rank = page.ranks.get(engine)
  if (rank === undefined && page.ranks.size < ranksMax) {
    rank = {}
    page.ranks.set(engine, rank)
  }
  return rank
}

const readCacheConfig = (rank: RankNumbers, labels: ReadonlyMap<string, string>): void => {
  const blockSizeTokens = labelCount(labels, "block_size", blockSizeTokensMax)
  const gpuBlocks = labelCount(labels, "num_gpu_blocks", gpuBlocksMax)
  if (blockSizeTokens !== undefined) rank.blockSizeTokens = blockSizeTokens
  if (gpuBlocks !== undefined) rank.gpuBlocks = gpuBlocks
}

const visit = (page: Page, sample: Sample, limits: MetricsTextLimits): void => {
  const { labels, name, value } = sample
  if (value < 0 || value > valueMax) return
  if (name === processStart) {
    page.processStartS = value
    return
  }
  if (name === loraInfo) {
    if (page.lora === undefined || value >= page.lora.atS) page.lora = { atS: value, labels }
    return
  }
  if (name === sleepState) {
    if (labels.get("sleep_state") === "awake" && value === 0) page.awake = false
    return
  }
  const rank = rankOf(page, labels, limits.ranksMax)
  if (rank === undefined) return
  const family = rankFamilies.get(name)
  if (family === undefined) readCacheConfig(rank, labels)
  else rank[family] = value
}

/** Sum over the ranks that say it; undefined when none does. */
const sumOf = (ranks: ReadonlyArray<RankNumbers>, key: keyof RankNumbers): number | undefined =>
  ranks.reduce<number | undefined>((sum, rank) => {
    const value = rank[key]
    return value === undefined ? sum : (sum ?? 0) + value
  }, undefined)

const kvUsageOf = (ranks: ReadonlyArray<RankNumbers>): number => {
  let used = 0
  let blocks = 0
  for (const rank of ranks) {
    if (rank.kvUsage === undefined) continue
    const weight = rank.gpuBlocks ?? 1
    used += Math.min(rank.kvUsage, 1) * weight
    blocks += weight
  }
  return blocks === 0 ? 0 : used / blocks
}

const adaptersOf = (text: string | undefined, adaptersMax: number): ReadonlyArray<string> =>
  (text ?? "").split(",", adaptersMax).map((name) => name.trim()).filter((name) => name !== "")

const loraOf = (page: Page, limits: MetricsTextLimits): LoraActivity | undefined =>
  page.lora === undefined ? undefined : {
    adaptersMax: labelCount(page.lora.labels, "max_lora", limits.adaptersMax) ?? 1,
    running: adaptersOf(page.lora.labels.get("running_lora_adapters"), limits.adaptersMax),
    waiting: adaptersOf(page.lora.labels.get("waiting_lora_adapters"), limits.adaptersMax)
  }

/** Reads the page of a pod's `GET /metrics`. Never throws, whatever the text is, and takes one pass over it. */
export const readPodMetrics = (
  text: string | Uint8Array,
  limits: MetricsTextLimits = metricsTextLimits
): PodMetrics | MetricsProblem => {
  const page: Page = { ranks: new Map(), awake: true, processStartS: undefined, lora: undefined }
  const characters = typeof text === "string" ? text : new TextDecoder().decode(text)
  forEachSample(characters, wanted, limits, (sample) => visit(page, sample, limits))
  const ranks = [...page.ranks.values()]
  const running = sumOf(ranks, "running")
  const waiting = sumOf(ranks, "waiting")
  if (running === undefined || waiting === undefined) {
    const missing = running === undefined ? "vllm:num_requests_running" : "vllm:num_requests_waiting"
    return { _tag: "MetricsProblem", why: `the page has no usable ${missing}; is this a vLLM pod with its metrics on?` }
  }
  const gpuBlocks = sumOf(ranks, "gpuBlocks")
  return {
    running,
    waiting,
    kvUsage: kvUsageOf(ranks),
    blockSizeTokens: ranks.find((rank) => rank.blockSizeTokens !== undefined)?.blockSizeTokens,
    gpuBlocks: gpuBlocks === undefined ? undefined : Math.min(gpuBlocks, gpuBlocksMax),
    processStartS: page.processStartS,
    promptTokensTotal: sumOf(ranks, "promptTokens"),
    generationTokensTotal: sumOf(ranks, "generationTokens"),
    prefixQueriesTotal: sumOf(ranks, "prefixQueries"),
    prefixHitsTotal: sumOf(ranks, "prefixHits"),
    awake: page.awake,
    lora: loraOf(page, limits)
  }
}
