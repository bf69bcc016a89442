import { describe, expect, test } from "bun:test"
import { Either } from "effect"
import { trailBlocks } from "../../src/core/promptTrail.ts"
import { tokensOf } from "../../src/simulator/promptChain.ts"
import { decisionWorkload, parseDecisions } from "../../src/simulator/traces/decisions.ts"
import { readTrace } from "../../src/simulator/traces/formats.ts"
import { observedSummary, replayWarnings } from "../../src/simulator/traces/observed.ts"
import type { PlannedRequest } from "../../src/simulator/Workload.ts"

const everything = { load: 1, seed: 1 }

const blocks = (...hashes: ReadonlyArray<number>): string =>
  Buffer.from(Uint32Array.from(hashes).buffer).toString("base64")

const line = (fields: Readonly<Record<string, unknown>> = {}): string =>
  JSON.stringify({
    time: "2026-01-01T00:00:00.000Z",
    requestId: "r1",
    model: "m",
    arrivedMs: 1000,
    waitMs: 5,
    totalMs: 2005,
    stream: true,
    maxTokens: null,
    session: 0,
    promptTokens: 200,
    hitTokens: 128,
    podPromptTokens: null,
    podHitTokens: null,
    policy: "round-robin",
    pod: "a:1",
    predictedTtftMs: null,
    observedTtftMs: 1000,
    outcome: "finished",
    outputTokens: 11,
    sampleRate: 1,
    blockTokens: 16,
    blocks: blocks(7, 8, 9),
    ...fields
  })

const logOf = (...lines: ReadonlyArray<Readonly<Record<string, unknown>>>): string =>
  lines.map((fields, index) => `${line({ requestId: `r${index}`, ...fields })}\n`).join("")

const planned = (text: string): ReadonlyArray<PlannedRequest> => {
  const arrivals = decisionWorkload(parseDecisions(text), everything).stages[0]!().arrivals
  const requests: Array<PlannedRequest> = []
  for (let next = arrivals.next(); next.done !== true; next = arrivals.next()) requests.push(next.value)
  return requests
}

describe("a decision log as a trace", () => {
  test("sends each request when it came, with its lengths, its limit and its session", () => {
    const late = { arrivedMs: 4500, maxTokens: 30, session: 9, outputTokens: 3 }
    const requests = planned(logOf(late, { arrivedMs: 1000 }))
    expect(requests.map(({ afterS, output, prompt }) => [afterS, tokensOf(prompt), output.tokens])).toEqual([
      [0, 200, 11],
      [3.5, 200, 3]
    ])
    expect(requests[1]).toMatchObject({ outputTokensMax: 30, sessionHash: 9 })
  })

  test("shares what two prompts share, and takes equal bits after different beginnings for different", () => {
    const [one, two, three] = planned(logOf({}, { blocks: blocks(7, 8, 5) }, { blocks: blocks(6, 8, 9) }))
    const ids = (request: PlannedRequest | undefined) => request!.prompt.map(({ id }) => id)
    expect(one!.prompt.map(({ tokens }) => tokens)).toEqual([64, 64, 64, 8])
    expect(ids(two).slice(0, 2)).toEqual(ids(one).slice(0, 2))
    expect(ids(two)[2]).not.toBe(ids(one)[2])
    expect(ids(three).filter((id) => ids(one).includes(id))).toEqual([])
  })

  test("believes the pod's own count of a prompt's tokens", () => {
    const [request] = planned(logOf({ podPromptTokens: 250 }))
    expect(request!.prompt.map(({ tokens }) => tokens)).toEqual([80, 80, 80, 10])
    expect(trailBlocks(2) * 16 * 250 / 200).toBe(240)
  })

  test("counts a request that was tried twice once, and leaves out what no pod served", () => {
    const trace = parseDecisions(
      logOf(
        { requestId: "a", outcome: "failed", outputTokens: null, observedTtftMs: null },
        { requestId: "a", pod: "b:1" },
        { requestId: "c", outcome: "failed", outputTokens: null }
      )
    )
    expect(trace.decisions.map(({ pod }) => pod)).toEqual(["b:1"])
    expect(trace.failed).toBe(1)
  })

  test("passes over a first and a last line that were cut", () => {
    const whole = logOf({}, {}, {})
    expect(parseDecisions(whole.slice(40, -30)).decisions).toHaveLength(1)
    expect(parseDecisions(whole.slice(0, -1)).decisions).toHaveLength(3)
  })

  test.each([
    [`${line()}\n{"half\n${line()}\n`, "line 2: not JSON"],
    [logOf({}, { arrivedMs: "soon" }), `line 2: "arrivedMs" is "soon" but must be a number`],
    [logOf({ outcome: 3 }), `line 1: "outcome" is 3 but must be a text`],
    [logOf({ blocks: "AAA=" }), `line 1: "blocks" has 2 bytes`],
    [logOf({ outcome: "failed" }), "line 1: there is no served request in the log"],
    ["", "line 1: there is no served request in the log"]
  ])("%# says which line is wrong and why", (text, reason) => {
    expect(Either.getOrThrow(Either.flip(readTrace("decisions", text)))).toContain(reason)
  })
})

describe("what was observed", () => {
  test("is of the requests after the warm-up, TTFT from the arrival at the gateway", () => {
    const trace = parseDecisions(
      logOf(
        { arrivedMs: 0, observedTtftMs: 9000 },
        { arrivedMs: 5000, hitTokens: 100, podHitTokens: 50 },
        { arrivedMs: 9000, observedTtftMs: null, stream: false },
        { arrivedMs: 10_000, waitMs: 1000, totalMs: 4000, policy: "random" }
      )
    )
    expect(observedSummary(trace, everything)).toMatchObject({
      policy: "round-robin",
      pods: 1,
      requests: 3,
      streamed: 2,
      ttftMean: (1.005 + 2) / 2,
      tpotMean: (0.1 + 0.2) / 2,
      hitRatio: (50 + 128 + 128) / 600
    })
  })

  test("comes with a warning for all that makes a replay doubtful", () => {
    const warningsOf = (text: string) => {
      const trace = parseDecisions(text)
      return replayWarnings(trace, observedSummary(trace, everything))
    }
    expect(warningsOf(logOf({}, {}))).toEqual([])
    const doubtful = { sampleRate: 0.05, blocks: undefined, observedTtftMs: null }
    const warnings = warningsOf(logOf(doubtful, { ...doubtful, model: "n" }, { outcome: "failed", blocks: undefined }))
    expect(warnings).toHaveLength(5)
    expect(warnings[0]).toContain("the log has 5 % of the decisions")
  })
})
