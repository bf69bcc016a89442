import type { Load } from "./load.ts"

/** One kind of traffic: how CPU is measured under it, and how latency is. */
export interface ProxyCase {
  readonly name: "small" | "prompt30k" | "stream500"
  readonly cost: Load
  /** Undefined: the cost load is below saturation, so its TTFT is the answer. */
  readonly latency: Load | undefined
}

/**
 * CPU per request comes from 8 busy connections; at saturation a TTFT only tells of the queue, so latency has a load
 * of its own at a rate that every gateway carries. Streams are paced by the pods and serve for both.
 */
export const proxyCases = (quick: boolean): ReadonlyArray<ProxyCase> => {
  const cost = { mode: "closed", connections: 8, warmS: 0.3, durationS: quick ? 1 : 2.5, maxTokens: 16 } as const
  const latency = { mode: "paced", connections: 256, warmS: 0.2, durationS: quick ? 0.8 : 2, maxTokens: 16 } as const
  const small = { sharedBytes: 64, uniqueBytes: 64 }
  const long = { sharedBytes: 28_000, uniqueBytes: 2000 }
  return [
    { name: "small", cost: { ...cost, ...small }, latency: { ...latency, ...small, rate: 400 } },
    { name: "prompt30k", cost: { ...cost, ...long }, latency: { ...latency, ...long, rate: 150 } },
    {
      name: "stream500",
      cost: {
        mode: "streams",
        connections: 500,
        warmS: quick ? 1 : 2,
        durationS: quick ? 2 : 6,
        sharedBytes: 1500,
        uniqueBytes: 500,
        maxTokens: 250
      },
      latency: undefined
    }
  ]
}

/** 2,000 streams of a token every 100 ms, each opened once and read to its end. */
export const holdLoad = (quick: boolean): Load => ({
  mode: "streams",
  connections: 2000,
  warmS: quick ? 3 : 4,
  durationS: quick ? 3 : 10,
  sharedBytes: 64,
  uniqueBytes: 64,
  maxTokens: quick ? 70 : 150,
  once: true
})
export const HOLD_TOKEN_MS = 100
