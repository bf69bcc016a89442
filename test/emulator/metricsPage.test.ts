import { describe, expect, test } from "bun:test"
import { startEmulatedPod } from "../../src/emulator/EmulatedPod.ts"
import { recordedExchanges } from "../lib/recordedPod.ts"
import { roundConstants } from "./engineFixture.ts"

const recordedPage = (): string => {
  const exchange = recordedExchanges().find(({ name }) => name === "metrics")
  return new TextDecoder().decode(exchange!.response.body)
}

/** Every vLLM line without its value: names, help, labels, buckets, in order. LoRA lists come and go. */
const skeleton = (page: string): ReadonlyArray<string> =>
  page.split("\n")
    .filter((line) => line.includes("vllm:"))
    .map((line) => line.startsWith("#") ? line : line.slice(0, line.lastIndexOf(" ")))
    .map((line) => line.startsWith("vllm:cache_config_info") ? line.replaceAll(/="[^"]*"/g, "") : line)
    .filter((line, index, lines) => !line.startsWith("vllm:lora") || lines[index - 1]!.startsWith("#"))
    .map((line) => line.startsWith("vllm:lora") ? line.replaceAll(/="[^"]*"/g, "") : line)

const valueOf = (page: string, series: string): number => {
  const line = page.split("\n").find((candidate) => candidate.startsWith(`${series} `))
  if (line === undefined) throw new Error(`no series ${series}`)
  return Number(line.slice(series.length))
}

const startPod = () =>
  startEmulatedPod({
    model: "tiny",
    loraAdapters: ["lora-a"],
    constants: { ...roundConstants, kvCapacityTokens: 48 * 32 },
    blockSizeTokens: 32,
    maxModelLen: 1024,
    speed: 1000
  })

describe("the metrics page", () => {
  test("has vLLM's series with its labels, help texts and buckets in its order", async () => {
    const pod = startPod()
    const response = await fetch(`${pod.url}/metrics`)
    expect(response.headers.get("content-type")).toBe("text/plain; version=1.0.0; charset=utf-8")
    expect(skeleton(await response.text())).toEqual(skeleton(recordedPage()))
    await pod.stop()
  })

  test("counts what requests did", async () => {
    const pod = startPod()
    const ask = () =>
      fetch(`${pod.url}/v1/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ prompt: Array.from({ length: 100 }, (_, index) => index + 20), max_tokens: 7 })
      }).then((response) => response.text())
    await ask()
    await ask()
    const page = await (await fetch(`${pod.url}/metrics`)).text()
    const labels = "{engine=\"0\",model_name=\"tiny\"}"
    expect(valueOf(page, `vllm:prompt_tokens_total${labels}`)).toBe(200)
    expect(valueOf(page, `vllm:generation_tokens_total${labels}`)).toBe(14)
    expect(valueOf(page, `vllm:prefix_cache_hits_total${labels}`)).toBe(96)
    expect(valueOf(page, `vllm:num_requests_running${labels}`)).toBe(0)
    expect(valueOf(page, `vllm:kv_cache_usage_perc${labels}`)).toBe(0)
    expect(valueOf(page, "vllm:request_success_total{engine=\"0\",finished_reason=\"length\",model_name=\"tiny\"}"))
      .toBe(2)
    expect(page).toContain("num_gpu_blocks=\"48\"")
    await pod.stop()
  })
})
