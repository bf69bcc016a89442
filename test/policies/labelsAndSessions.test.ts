import { describe, expect, test } from "bun:test"
import type { PickContext } from "../../src/core/Policy.ts"
import type { PodAddress } from "../../src/core/Pod.ts"
import type { PolicyDescription } from "../../src/policies/registry.ts"
import { contextOf, type PodFacts, policyOf } from "./fleet.ts"

type Said = Pick<PodAddress, "labels" | "name" | "rank">

/** A pick over pods of which discovery says something. */
const pickOver = (
  pods: ReadonlyArray<PodFacts & Said>,
  promptTokens: number,
  headers: Readonly<Record<string, string>> = {}
): PickContext => {
  const context = contextOf(pods, promptTokens)
  pods.forEach(({ labels, name, rank }, row) => {
    const address = context.table.addresses[row]
    if (address !== undefined) context.table.addresses[row] = { ...address, labels, name, rank }
  })
  context.request = { ...context.request, headers: { get: (header) => headers[header] ?? null } }
  return context
}

const filterAlone = (type: string, parameters: Record<string, unknown> = {}) =>
  policyOf({ type: "weighted", filters: [{ type, parameters }], scorers: [], picker: { type: "random-picker" } })

const scorerAlone = (type: string, parameters: Record<string, unknown> = {}) =>
  policyOf({ type: "weighted", filters: [], scorers: [{ type, parameters, weight: 1 }], picker: onlyHighest })

const onlyHighest: { readonly type: string } = { type: "max-score-picker" }

/** The rows that a filter leaves. */
const kept = (type: string, parameters: Record<string, unknown>, context: PickContext): ReadonlyArray<number> => {
  filterAlone(type, parameters).pick(context)
  return [...context.candidates.subarray(0, context.candidateCount)]
}

/** What a scorer gives each pod, as `explain` shows it. */
const scores = (description: PolicyDescription, context: PickContext): ReadonlyArray<number> => {
  const reasons = policyOf(description).explain?.(context)
  return Array.from({ length: context.candidateCount }, (_, row) => reasons?.values.get(row)?.[0] ?? Number.NaN)
}

const scorer = (type: string, parameters: Record<string, unknown> = {}): PolicyDescription => ({
  type: "weighted",
  filters: [],
  scorers: [{ type, parameters, weight: 1 }],
  picker: onlyHighest
})

const role = (value: string) => ({ labels: { "llm-d.ai/role": value } })

describe("role filters", () => {
  const pods = [role("decode"), role("prefill"), role("both"), {}, role("encode"), role("encode-prefill-decode")]

  test("decode-filter keeps pods that decode and those without the label", () => {
    expect(kept("decode-filter", {}, pickOver(pods, 10))).toEqual([0, 2, 3, 5])
  })

  test("prefill-filter keeps pods that say that they prefill", () => {
    expect(kept("prefill-filter", {}, pickOver(pods, 10))).toEqual([1, 2, 5])
  })

  test("encode-filter keeps pods that say that they encode", () => {
    expect(kept("encode-filter", {}, pickOver(pods, 10))).toEqual([4, 5])
  })
})

describe("label filters", () => {
  const gpus = [{ labels: { gpu: "h100", zone: "a" } }, { labels: { gpu: "h200" } }, {}]

  test("by-label goes by the values, and by allowsNoLabel where there is none", () => {
    expect(kept("by-label", { label: "gpu", validValues: ["h200"] }, pickOver(gpus, 10))).toEqual([1])
    expect(kept("by-label", { label: "gpu", allowsNoLabel: true }, pickOver(gpus, 10))).toEqual([2])
  })

  test.each([
    [{ matchLabels: { gpu: "h100" } }, [0]],
    [{ matchExpressions: [{ key: "gpu", operator: "In", values: ["h100", "h200"] }] }, [0, 1]],
    [{ matchExpressions: [{ key: "gpu", operator: "NotIn", values: ["h100"] }] }, [1, 2]],
    [{ matchExpressions: [{ key: "zone", operator: "Exists" }] }, [0]],
    [{ matchExpressions: [{ key: "zone", operator: "DoesNotExist" }] }, [1, 2]],
    [{ matchLabels: { gpu: "h100" }, matchExpressions: [{ key: "zone", operator: "In", values: ["b"] }] }, []],
    [{}, [0, 1, 2]]
  ])("label-selector-filter with %j keeps %j", (parameters, rows) => {
    expect(kept("label-selector-filter", parameters, pickOver(gpus, 10))).toEqual(rows)
  })
})

describe("context-length-aware", () => {
  const range = (text: string) => ({ labels: { "llm-d.ai/context-length-range": text } })
  const pods = [range("0-1000"), range("1000-11000"), {}, range("many"), range("500-500")]

  test("as a filter it keeps the pods whose range holds the prompt, and those without one", () => {
    expect(kept("context-length-aware", {}, pickOver(pods, 1000))).toEqual([0, 1, 2])
  })

  test("as a scorer it prefers narrow ranges with room left", () => {
    const found = scores(scorer("context-length-aware"), pickOver(pods, 500))
    // Width 1000, half of it left: 0.3 + 0.7 · (0.7 / 1.1 + 0.3 · 0.5) = 0.8504…
    expect(found[0]).toBeCloseTo(0.3 + 0.7 * (0.7 / 1.1 + 0.15), 10)
    // 500 below the range: 0.3 / 1.5.
    expect(found.slice(1)).toEqual([0.3 / 1.5, 0.5, 0, 1])
    // 6000 beyond 1000-11000, half of its 10,000 left: 0.3 + 0.7 · (0.7 / 2 + 0.15) = 0.65.
    expect(scores(scorer("context-length-aware"), pickOver(pods, 6000))[1]).toBeCloseTo(0.65, 10)
  })
})

describe("header-label-affinity-scorer", () => {
  test("gives 1 to the pods whose label is the header's value, and 0 to all without the header", () => {
    const pods = [{ labels: { team: "a" } }, { labels: { team: "b" } }, {}]
    const affinity = scorer("header-label-affinity-scorer", { headerName: "X-Team", labelKey: "team" })
    expect(scores(affinity, pickOver(pods, 10, { "x-team": "b" }))).toEqual([0, 1, 0])
    expect(scores(affinity, pickOver(pods, 10))).toEqual([0, 0, 0])
  })
})

describe("lora-affinity-scorer", () => {
  test("gives 1 where the adapter runs, 0.8 where there is a place, 0.6 where it waits, else 0", () => {
    const context = pickOver([{}, {}, {}, {}, {}], 10)
    const { lora } = context.table
    lora[0] = { adaptersMax: 2, running: ["m", "n"], waiting: [] }
    lora[1] = { adaptersMax: 2, running: ["n"], waiting: [] }
    lora[2] = { adaptersMax: 2, running: ["n"], waiting: ["m"] }
    lora[3] = { adaptersMax: 1, running: ["n"], waiting: ["o"] }
    expect(scores(scorer("lora-affinity-scorer"), context)).toEqual([1, 0.8, 0.6, 0, 0])
  })
})

describe("detectors as filters", () => {
  test("utilization-detector keeps unsaturated pods with a fresh scrape, and all when none is left", () => {
    const pods = [{ waiting: 4, kvUsage: 0.7 }, { waiting: 5 }, { kvUsage: 0.8 }, {}]
    const context = pickOver(pods, 10)
    context.nowS = 10
    context.table.observedAtS.set([9.9, 9.9, 9.9, 9.7])
    expect(kept("utilization-detector", {}, context)).toEqual([0])
    context.candidates.set([1, 2])
    context.candidateCount = 2
    expect(kept("utilization-detector", {}, context)).toEqual([1, 2])
  })

  test("concurrency-detector goes by our own requests, tokens, or both, and may leave no pod", () => {
    const pods = [{ decoding: 1, prefilling: 1 }, { prefillAheadTokens: 100 }, { decoding: 3, prefillAheadTokens: 200 }]
    const limits = { maxConcurrency: 2, maxTokenConcurrency: 100 }
    expect(kept("concurrency-detector", limits, pickOver(pods, 10))).toEqual([1])
    expect(kept("concurrency-detector", { ...limits, concurrencyMode: "tokens" }, pickOver(pods, 10))).toEqual([0])
    expect(kept("concurrency-detector", { ...limits, concurrencyMode: "hybrid" }, pickOver(pods, 10))).toEqual([])
    // Half as much again: 3 requests.
    expect(kept("concurrency-detector", { ...limits, headroom: 0.5 }, pickOver(pods, 10))).toEqual([0, 1])
  })
})

describe("probabilistic-admitter", () => {
  const wishing = (priority: number, waiting: number): PickContext => {
    const context = pickOver([{ waiting }, {}], 10)
    context.table.observedAtS.fill(0)
    const wish = { priority, flow: "", bytes: 0, waitMaxS: undefined }
    context.request = { ...context.request, wish }
    return context
  }

  test("admits whatever is not sheddable", () => {
    expect(kept("probabilistic-admitter", {}, wishing(0, 100))).toEqual([0, 1])
  })

  test("refuses sheddable requests surely from a saturation of 300^(-1/5) = 0.3196 on", () => {
    // One of two pods with 3.2 of 5: 0.32. With 1 of 5 it is 0.1, and the chance 300 · 0.1^5 = 0.003.
    expect(kept("probabilistic-admitter", {}, wishing(-1, 3.2))).toEqual([])
    expect(kept("probabilistic-admitter", {}, wishing(-1, 1))).toEqual([0, 1])
  })
})

describe("session affinity by token", () => {
  const pods: ReadonlyArray<Said & PodFacts> = [{ name: "ns/b" }, { name: "ns/a", rank: 1 }, {}]

  /** With the pod that the front read out of a good token. */
  const knowing = (pod: string, under = "x-session-token"): PickContext => {
    const context = pickOver(pods, 10)
    context.request = { ...context.request, podOfToken: (header) => header === under ? pod : "" }
    return context
  }

  test("the filter keeps the token's pod alone, and all when the token names none", () => {
    expect(kept("session-affinity-filter", {}, knowing("ns/a-rank-1"))).toEqual([1])
    expect(kept("session-affinity-filter", {}, knowing("ns/b"))).toEqual([0])
    expect(kept("session-affinity-filter", {}, knowing("ns/b-rank-0"))).toEqual([0])
    expect(kept("session-affinity-filter", {}, knowing("ns/gone-rank-0"))).toEqual([0, 1, 2])
    expect(kept("session-affinity-filter", {}, knowing(""))).toEqual([0, 1, 2])
  })

  test("the scorer gives the token's pod 1 and the others 0", () => {
    expect(scores(scorer("session-affinity-scorer", { header: "X-Mine" }), knowing("10.0.0.1:8002", "x-mine")))
      .toEqual([0, 0, 1])
  })

  test("the text of the header, which nobody has checked, chooses nothing", () => {
    const written = pickOver(pods, 10, { "x-session-token": btoa("ns/b") })
    expect(kept("session-affinity-filter", {}, written)).toEqual([0, 1, 2])
    expect(kept("session-affinity-filter", {}, pickOver(pods, 10, { "x-session-token": "ns/b" }))).toEqual([0, 1, 2])
  })
})

describe("session affinity by name", () => {
  const parameters = { strategy: "session_id" }
  const asked = (session: string, busy = 0) =>
    pickOver([{ decoding: busy }, { decoding: 1 }, { decoding: 2 }], 10, { "x-session-id": session })
  const policy = (more: Record<string, unknown> = {}) =>
    policyOf({
      type: "weighted",
      filters: [{ type: "session-affinity-filter", parameters: { ...parameters, ...more } }],
      scorers: [{ type: "active-request-scorer", weight: 1 }],
      picker: onlyHighest
    })

  test("a session stays with the pod of its first request", () => {
    const sessions = policy()
    expect([sessions.pick(asked("s")), sessions.pick(asked("s", 9)), sessions.pick(asked("t", 9))]).toEqual([0, 0, 1])
  })

  test("it moves for good when its pod is no candidate", () => {
    const sessions = policy()
    sessions.pick(asked("s"))
    const without = asked("s")
    without.candidates.set([1, 2])
    without.candidateCount = 2
    expect([sessions.pick(without), sessions.pick(asked("s"))]).toEqual([1, 1])
  })

  test("it is forgotten after evictionTtlSeconds without a request", () => {
    const sessions = policy({ evictionTtlSeconds: 5 })
    sessions.pick(asked("s"))
    const late = asked("s", 9)
    late.nowS = 6
    expect(sessions.pick(late)).toBe(1)
  })

  test("beyond sessionsMax the one without a request for longest is forgotten", () => {
    const sessions = policy({ sessionsMax: 1 })
    sessions.pick(asked("s"))
    sessions.pick(asked("t", 9))
    expect(sessions.pick(asked("s", 9))).toBe(1)
  })

  test("a cookie can name the session", () => {
    const sources = [{ header: "x-none" }, { cookie: "sid" }]
    const of = (decoding: number) => pickOver([{ decoding }, { decoding: 1 }], 10, { cookie: "a=1; sid=s; b=2" })
    const sessions = scorerAlone("session-affinity-scorer", { ...parameters, sources })
    const first = sessions.pick(of(0))
    expect(Array.from({ length: 8 }, () => sessions.pick(of(0)))).toEqual(Array.from({ length: 8 }, () => first))
  })
})
