import { describe, expect, test } from "bun:test"
import { Either } from "effect"
import { hardwarePresets } from "../../src/core/hardwarePresets.ts"
import { type Segment, tokensOf } from "../../src/simulator/promptChain.ts"
import { defaultPath, runPolicy } from "../../src/simulator/runPolicy.ts"
import { readTrace } from "../../src/simulator/traces/formats.ts"
import type { PlannedRequest, WorkloadOptions } from "../../src/simulator/Workload.ts"

const fixture = (name: string) => Bun.file(new URL(`../fixtures/traces/${name}`, import.meta.url)).text()

const read = (format: string, text: string, options: Partial<WorkloadOptions> = {}) =>
  Either.getOrThrow(readTrace(format, text))({ load: 1, seed: 1, ...options })

const requestsOf = (workload: ReturnType<typeof read>): ReadonlyArray<PlannedRequest> => {
  const list: Array<PlannedRequest> = []
  const { arrivals } = workload.stages[0]!()
  for (let next = arrivals.next(); next.done !== true; next = arrivals.next()) list.push(next.value)
  return list
}

const shared = (one: ReadonlyArray<Segment>, other: ReadonlyArray<Segment>): number => {
  let tokens = 0
  for (let i = 0; i < one.length && one[i]!.id === other[i]?.id; i++) {
    tokens += Math.min(one[i]!.tokens, other[i]!.tokens)
    if (one[i]!.tokens !== other[i]!.tokens) break
  }
  return tokens
}

const run = (workload: ReturnType<typeof read>) =>
  Either.getOrThrow(runPolicy({
    workload,
    policy: { type: "marginal-cost" },
    seed: 1,
    pods: 4,
    constants: hardwarePresets["qwen3-32b-2xh100"]!,
    path: defaultPath
  }))

describe("a Mooncake trace", () => {
  test("becomes requests with the recorded lengths and shared prefixes", async () => {
    const requests = requestsOf(read("mooncake", await fixture("mooncake.jsonl")))
    expect(requests).toHaveLength(40)
    expect(requests.slice(0, 3).map(({ output, prompt }) => [tokensOf(prompt), output.tokens])).toEqual([
      [6758, 500],
      [7322, 490],
      [7236, 794]
    ])
    expect(shared(requests[0]!.prompt, requests[1]!.prompt)).toBe(512)
    expect(new Set(requests.map(({ output }) => output.id)).size).toBe(40)
  })

  test("plays faster by its load and stops at its duration", async () => {
    const text = await fixture("mooncake.jsonl")
    const lastS = (options: Partial<WorkloadOptions>) => requestsOf(read("mooncake", text, options)).at(-1)!.afterS
    expect(lastS({ load: 2 })).toBeCloseTo(lastS({}) / 2, 9)
    expect(lastS({})).toBeGreaterThan(3)
    expect(lastS({ durationS: 3 })).toBeLessThan(3)
  })

  test("runs to its end", async () => {
    const summary = run(read("mooncake", await fixture("mooncake.jsonl")))
    expect(summary).toMatchObject({ requests: 40, refused: 0 })
    expect(summary.ttftMean).toBeGreaterThan(0.1)
  })
})

describe("a Bailian trace", () => {
  const text = [
    `{"chat_id": 1, "parent_chat_id": -1, "timestamp": 5.5, "input_length": 40, "output_length": 9, "type": "text", "turn": 1, "hash_ids": [7, 8, 9]}`,
    `{"chat_id": 2, "parent_chat_id": 1, "timestamp": 9, "input_length": 70, "output_length": 3, "type": "text", "turn": 2, "hash_ids": [7, 8, 10, 11, 12]}`
  ].join("\n")

  test("has blocks of 16 tokens and times in seconds from its first request", () => {
    const [first, second] = requestsOf(read("bailian", text))
    expect([first!.afterS, second!.afterS]).toEqual([0, 3.5])
    expect([tokensOf(first!.prompt), tokensOf(second!.prompt)]).toEqual([40, 70])
    expect(shared(first!.prompt, second!.prompt)).toBe(32)
  })
})

describe("an Azure trace", () => {
  test("becomes requests that share nothing, at the recorded times", async () => {
    const requests = requestsOf(read("azure", await fixture("azure.csv")))
    expect(requests).toHaveLength(29)
    expect(requests[0]!.afterS).toBe(0)
    expect(requests[1]!.afterS).toBeCloseTo(0.052, 6)
    expect(requests.slice(0, 2).map(({ output, prompt }) => [tokensOf(prompt), output.tokens])).toEqual([
      [4808, 10],
      [3180, 8]
    ])
    expect(run(read("azure", await fixture("azure.csv")))).toMatchObject({ requests: 29, hitRatio: 0 })
  })

  test("goes on past the end of a month", () => {
    const text =
      "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-31 23:59:59.5,10,1\n2024-06-01 00:00:01.0+00:00,20,1\n"
    expect(requestsOf(read("azure", text)).map(({ afterS }) => afterS)).toEqual([0, 1.5])
  })
})

describe("a Claude Code trace", () => {
  test("plays each session in turn, each request after the answer and its thinking", async () => {
    const text = await fixture("claude-code.jsonl")
    const sessions = requestsOf(read("claude-code", text, { load: 60, durationS: 30 }))
    const recorded = text.trim().split("\n").map((line) => JSON.parse(line) as { requests: Array<{ in?: number }> })
    const lengths = recorded.map((each) =>
      each.requests.map((request) => request.in).filter((tokens) => tokens !== undefined)
    )
    expect(sessions.length).toBeGreaterThan(10)
    for (const first of sessions) {
      const prompts = [tokensOf(first.prompt)]
      for (let next = first.next?.(); next !== undefined; next = next.next?.()) {
        expect(next.afterS).toBeLessThanOrEqual(60)
        expect(next.sessionHash).toBe(first.sessionHash)
        prompts.push(tokensOf(next.prompt))
      }
      expect(lengths).toContainEqual(prompts)
    }
  })

  test("shares blocks within a session and never between two plays of it", async () => {
    const sessions = requestsOf(read("claude-code", await fixture("claude-code.jsonl"), { load: 60, durationS: 30 }))
    const long = sessions.find((each) => each.next !== undefined)!
    expect(shared(long.prompt, long.next!().prompt)).toBeGreaterThan(10_000)
    const firstIds = sessions.map(({ prompt }) => prompt[0]!.id)
    expect(new Set(firstIds).size).toBe(firstIds.length)
  })
})

describe("a broken trace", () => {
  const good = `{"timestamp": 0, "input_length": 5, "output_length": 1, "hash_ids": [1]}`

  test.each([
    ["mooncake", `${good}\n{"timestamp": 0`, "line 2: not JSON"],
    ["mooncake", `[1]`, "line 1: [1] stands where an object belongs"],
    ["mooncake", good.replace(`"hash_ids": [1]`, `"hash_ids": [-1]`), `line 1: "hash_ids" has -1 where a block id`],
    [
      "mooncake",
      good.replace(`"input_length": 5, `, ""),
      `line 1: "input_length" is missing but must be a number from 1`
    ],
    ["claude-code", `{"block_size": 64}`, `line 1: "requests" is missing but must be a list`],
    ["azure", "a,b\n1,2", `line 1: the header is "a,b" but must be "TIMESTAMP,`],
    ["azure", "TIMESTAMP,ContextTokens,GeneratedTokens\nnoon,1,2", `line 2: "noon" is no time`],
    [
      "azure",
      "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9,x,2",
      `line 2: "x" is no count of tokens`
    ],
    ["csv", "", `there is no trace format "csv"`]
  ])("of format %s is refused with the line and the reason", (format, text, reason) => {
    const found = readTrace(format, text)
    expect(Either.isLeft(found) ? found.left : "").toContain(reason)
  })
})
