import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { readFileSync } from "node:fs"
import { metricsTextLimits, type PodMetrics, readPodMetrics } from "../../src/vllm/MetricsText.ts"
import { hostileBytes, plan, propertyTimeoutMs } from "./fuzz.ts"

/** The lines of a recorded page that the gateway reads, and some that it passes over. */
const recorded = (name: string): string =>
  readFileSync(new URL(`../fixtures/vllm-http/${name}`, import.meta.url), "utf8").split("\n").filter((line, index) =>
    index < 6 ||
    /num_requests|cache_usage|cache_config|tokens_total|cache_(hits|queries)|lora|sleep|start_time/.test(line)
  ).join("\n")

const samples = [
  recorded("metrics-idle.txt"),
  recorded("metrics-after-load.prom"),
  recorded("metrics-waiting-lora.prom"),
  "vllm:num_requests_running{engine=\"0\"} 3\nvllm:num_requests_waiting{engine=\"0\"} 1\n" +
  "vllm:num_requests_running{engine=\"1\"} 2\nvllm:num_requests_waiting{engine=\"1\"} 1\n" +
  "vllm:kv_cache_usage_perc{engine=\"1\"} 0.5\nvllm:cache_config_info{num_gpu_blocks=\"9\",block_size=\"16\"} 1\n"
].map((text) => new Uint8Array(Buffer.from(text)))

const words = [
  "\n",
  "NaN",
  "+Inf",
  "1e308",
  "-1",
  "1e",
  "0x10",
  "{",
  "}",
  "\"",
  "\\",
  ",",
  "engine=\"7\"",
  "vllm:num_requests_running 1.7e308\n",
  "vllm:num_requests_running{engine=\"a\"} 1.7e308\n",
  "vllm:num_requests_waiting{engine=\"a\"} 1.7e308\n",
  "vllm:num_requests_waiting{engine=\"b\"} 1.7e308\n",
  "vllm:prompt_tokens_total{engine=\"b\"} 1.7e308\n",
  "vllm:kv_cache_usage_perc 9e300\n",
  "num_gpu_blocks=\"99999999999\"",
  "block_size=\"0\"",
  "\u0000",
  "\ud83d\ude00"
]

const counts = (page: PodMetrics): ReadonlyArray<number | undefined> => [
  page.running,
  page.waiting,
  page.blockSizeTokens,
  page.gpuBlocks,
  page.processStartS,
  page.promptTokensTotal,
  page.generationTokensTotal,
  page.prefixQueriesTotal,
  page.prefixHitsTotal
]

describe("a page of metrics that may be none", () => {
  test("gives finite numbers or the reason why it can't be used", () => {
    fc.assert(
      fc.property(hostileBytes(samples, words), (bytes) => {
        const page = readPodMetrics(bytes)
        if ("_tag" in page) return expect(page.why).toContain("the page has no usable vllm:num_requests_")
        for (const count of counts(page)) expect(Number.isFinite(count ?? 0) && (count ?? 0) >= 0).toBe(true)
        expect(page.kvUsage >= 0 && page.kvUsage <= 1).toBe(true)
        expect(page.lora?.running.length ?? 0).toBeLessThanOrEqual(metricsTextLimits.adaptersMax)
      }),
      plan("metricsText")
    )
  }, propertyTimeoutMs)
})
