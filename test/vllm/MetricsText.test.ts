import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { readFileSync } from "node:fs"
import { metricsTextLimits, type PodMetrics, readPodMetrics } from "../../src/vllm/MetricsText.ts"

const page = (name: string): string => readFileSync(new URL(`../fixtures/vllm-http/${name}`, import.meta.url), "utf8")

const metricsOf = (text: string | Uint8Array): PodMetrics => {
  const metrics = readPodMetrics(text)
  if ("why" in metrics) throw new Error(metrics.why)
  return metrics
}

/** The least that makes a page one of vLLM's. */
const least = "vllm:num_requests_running{engine=\"0\"} 1\nvllm:num_requests_waiting{engine=\"0\"} 2\n"

describe("a recorded page", () => {
  test("of an idle pod shows its KV blocks and no load", () => {
    expect(metricsOf(page("metrics-idle.txt"))).toEqual({
      running: 0,
      waiting: 0,
      kvUsage: 0,
      blockSizeTokens: 32,
      gpuBlocks: 48,
      processStartS: 1795346660.17,
      promptTokensTotal: 0,
      generationTokensTotal: 0,
      prefixQueriesTotal: 0,
      prefixHitsTotal: 0,
      awake: true,
      lora: undefined
    })
  })

  test("of a pod after load shows its counters and the newest of its LoRA series", () => {
    expect(metricsOf(page("metrics-after-load.prom"))).toEqual({
      running: 1,
      waiting: 0,
      kvUsage: 0.021276595744680882,
      blockSizeTokens: 32,
      gpuBlocks: 48,
      processStartS: 1795346660.17,
      promptTokensTotal: 2731,
      generationTokensTotal: 1164,
      prefixQueriesTotal: 2726,
      prefixHitsTotal: 704,
      awake: true,
      lora: { adaptersMax: 2, running: [], waiting: [] }
    })
  })

  test("of a pod with a queue shows who waits", () => {
    const metrics = metricsOf(page("metrics-waiting-lora.prom"))
    expect(metrics.waiting).toBeGreaterThan(0)
    expect(metrics.running).toBeGreaterThan(0)
    expect(metrics.kvUsage).toBeGreaterThan(0)
    expect(metrics.kvUsage).toBeLessThanOrEqual(1)
  })

  test("is read alike as bytes and as text", () => {
    const text = page("metrics-after-load.prom")
    expect(readPodMetrics(new TextEncoder().encode(text))).toEqual(readPodMetrics(text))
  })
})

describe("data-parallel ranks", () => {
  const ranks = [
    "vllm:num_requests_running{engine=\"0\"} 3",
    "vllm:num_requests_running{engine=\"1\"} 4",
    "vllm:num_requests_waiting{engine=\"0\"} 1",
    "vllm:num_requests_waiting{engine=\"1\"} 0",
    "vllm:kv_cache_usage_perc{engine=\"0\"} 0.9",
    "vllm:kv_cache_usage_perc{engine=\"1\"} 0.1",
    "vllm:cache_config_info{engine=\"0\",block_size=\"16\",num_gpu_blocks=\"300\"} 1",
    "vllm:cache_config_info{engine=\"1\",block_size=\"16\",num_gpu_blocks=\"100\"} 1",
    "vllm:generation_tokens_total{engine=\"0\"} 10",
    "vllm:generation_tokens_total{engine=\"1\"} 20",
    "vllm:engine_sleep_state{engine=\"0\",sleep_state=\"awake\"} 1",
    "vllm:engine_sleep_state{engine=\"1\",sleep_state=\"awake\"} 1"
  ]

  test("are summed, and their KV usage is weighed by their blocks", () => {
    const metrics = metricsOf(ranks.join("\n"))
    expect(metrics.running).toBe(7)
    expect(metrics.waiting).toBe(1)
    expect(metrics.gpuBlocks).toBe(400)
    expect(metrics.blockSizeTokens).toBe(16)
    expect(metrics.generationTokensTotal).toBe(30)
    expect(metrics.kvUsage).toBeCloseTo(0.7, 12)
    expect(metrics.awake).toBe(true)
  })

  test("of which one sleeps make a pod that is not awake", () => {
    const asleep = [...ranks, "vllm:engine_sleep_state{engine=\"1\",sleep_state=\"awake\"} 0"].join("\n")
    expect(metricsOf(asleep).awake).toBe(false)
  })

  test("are counted up to a limit", () => {
    const many = Array.from({ length: 50 }, (_, rank) => `vllm:num_requests_running{engine="${rank}"} 1`)
    const metrics = readPodMetrics(`${least}${many.join("\n")}`, { ...metricsTextLimits, ranksMax: 10 })
    expect(metrics).toMatchObject({ running: 10 })
  })
})

describe("lines that are not as they should be", () => {
  test("the last of two equal series counts", () => {
    expect(metricsOf(`${least}vllm:num_requests_running{engine="0"} 9\n`).running).toBe(9)
  })

  test("a last line needs no newline", () => {
    expect(metricsOf(least.trimEnd()).waiting).toBe(2)
  })

  test("windows line ends, blanks and a time stamp are taken", () => {
    const odd = "  vllm:num_requests_running { engine = \"0\" , } \t5 1795346660170\r\nvllm:num_requests_waiting 6\r\n"
    expect(metricsOf(odd)).toMatchObject({ running: 5, waiting: 6 })
  })

  test("escaped label values are read whole", () => {
    const escaped =
      `${least}vllm:cache_config_info{note="a\\"},num_gpu_blocks=\\"7\\\\",num_gpu_blocks="48",x="\\n"} 1\n`
    expect(metricsOf(escaped).gpuBlocks).toBe(48)
  })

  test("braces, commas and equals signs inside a label value end nothing", () => {
    expect(metricsOf(`${least}vllm:kv_cache_usage_perc{a="}",b=",",c="="} 0.25\n`).kvUsage).toBe(0.25)
  })

  test.each(["NaN", "+Inf", "-Inf", "", "0x10", "1e", "-3", "many", "1.2.3"])(
    "the value %p is passed over",
    (value) => {
      expect(metricsOf(`${least}vllm:num_requests_running{engine="0"} ${value}\n`).running).toBe(1)
    }
  )

  test.each([
    "{",
    "{engine",
    "{engine=",
    "{engine=\"0",
    "{engine=\"0\"",
    "{engine=\"0\" x=\"1\"} 7",
    "{=}",
    "{\\\"} 7"
  ])(
    "the labels %p are passed over",
    (labels) => {
      expect(metricsOf(`vllm:num_requests_running${labels}\n${least}`).running).toBe(1)
    }
  )

  test.each([["None", undefined], ["-1", undefined], ["1e300", undefined], ["99999999999999999999", undefined], [
    "0",
    undefined
  ], [
    "48",
    48
  ]])("num_gpu_blocks %p reads as %p", (text, expected) => {
    expect(metricsOf(`${least}vllm:cache_config_info{num_gpu_blocks="${text}"} 1\n`).gpuBlocks).toBe(expected as number)
  })

  test("KV usage above one is one", () => {
    expect(metricsOf(`${least}vllm:kv_cache_usage_perc 7\n`).kvUsage).toBe(1)
  })

  test("a line longer than the limit is passed over", () => {
    const long = `vllm:num_requests_running{engine="0",pad="${"x".repeat(70_000)}"} 9\n`
    expect(metricsOf(`${least}${long}`).running).toBe(1)
  })

  test("of stale LoRA series the one with the largest value counts, wherever it stands", () => {
    const series = (running: string, atS: number): string =>
      `vllm:lora_requests_info{max_lora="2",running_lora_adapters="${running}",waiting_lora_adapters=""} ${atS}\n`
    const metrics = metricsOf(`${least}${series("old", 1)}${series("new,other", 3)}${series("older", 2)}`)
    expect(metrics.lora?.running).toEqual(["new", "other"])
  })

  test("samples beyond the limit are not read", () => {
    const flood = "vllm:num_requests_running{engine=\"0\"} 1\n".repeat(100)
    const metrics = readPodMetrics(`${least}${flood}vllm:num_requests_running{engine="0"} 5\n`, {
      ...metricsTextLimits,
      samplesMax: 50
    })
    expect(metrics).toMatchObject({ running: 1 })
  })
})

describe("a page that is not vLLM's", () => {
  test.each(["", "\n\n\n", "<html><body>404</body></html>", "{\"error\":\"nope\"}", "process_start_time_seconds 1\n"])(
    "%p is a problem in words",
    (text) => {
      expect(readPodMetrics(text)).toMatchObject({
        _tag: "MetricsProblem",
        why: expect.stringContaining("vllm:num_requests")
      })
    }
  )

  test("any text is read without throwing", () => {
    const piece = fc.oneof(
      fc.string(),
      fc.constantFrom(
        ...least.split("\n"),
        "{",
        "}",
        "\"",
        "\\",
        "\n",
        "=",
        ",",
        "vllm:cache_config_info{",
        "engine=\""
      )
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const metrics = readPodMetrics(pieces.join(""))
        if ("why" in metrics) return
        expect(metrics.running).toBeGreaterThanOrEqual(0)
        expect(metrics.kvUsage).toBeLessThanOrEqual(1)
      }),
      { numRuns: 1000 }
    )
  })

  test("any bytes are read without throwing", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      expect("why" in readPodMetrics(bytes)).toBe(true)
    }))
  })

  test.each([
    ["one line", () => "vllm:num_requests_running{".padEnd(50_000_000, "a=\"1\",")],
    ["empty lines", () => "\n".repeat(50_000_000)],
    ["wanted samples", () => "vllm:kv_cache_usage_perc{engine=\"7\"} 0.5\n".repeat(1_200_000)],
    ["open quotes", () => "vllm:kv_cache_usage_perc{a=\"\n".repeat(1_700_000)]
  ])("50 MB of %s end", (_, make) => {
    expect("why" in readPodMetrics(make())).toBe(true)
  })
})
