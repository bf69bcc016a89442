import type { Counter, Histogram } from "./instruments.ts"
import type { MetricRegistry } from "./MetricRegistry.ts"
import { PodCounters } from "./PodCounters.ts"
import { rescueMetrics } from "./rescueMetrics.ts"
import { makeTtftMetrics } from "./ttftMetrics.ts"

const latencyBoundsS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600]
const waitBoundsS = [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1]

interface RouteInstruments {
  /** Index: the status. */
  readonly byStatus: Array<Counter | undefined>
  readonly duration: Histogram
  readonly ttft: Histogram
}

interface ModelInstruments {
  readonly prompt: Counter
  readonly cached: Counter
  readonly output: Counter
}

/** Makes what a key stands for on its first use; from then on it costs one look into a map. */
const memoized = <A>(make: (key: string) => A, keysMax: () => number): (key: string) => A => {
  const made = new Map<string, A>()
  return (key) => {
    let value = made.get(key)
    if (value === undefined) {
      const isKept = made.size < keysMax()
      value = make(isKept ? key : "other")
      if (isKept) made.set(key, value)
    }
    return value
  }
}

/** One counter with one label, of which at most `valuesMax` values are told apart. */
const countersBy = (registry: MetricRegistry, name: string, help: string, label: string, valuesMax: number) => {
  const counter = registry.counter(name, help, [label])
  return memoized((value) => counter.child(value), () => valuesMax)
}

const routeInstruments = (registry: MetricRegistry, routesMax: number) => {
  const requests = registry.counter("warmroute_requests_total", "Answered requests.", ["route", "code"])
  const duration = registry.histogram(
    "warmroute_request_duration_seconds",
    "From a request's arrival to the end of its answer.",
    latencyBoundsS,
    ["route"]
  )
  const ttft = registry.histogram(
    "warmroute_ttft_seconds",
    "From a request's arrival to the first byte of a good answer's body.",
    latencyBoundsS,
    ["route"]
  )
  const of = memoized((route): RouteInstruments & { readonly route: string } => ({
    route,
    byStatus: [],
    duration: duration.child(route),
    ttft: ttft.child(route)
  }), () => routesMax)
  const answered = (route: string, status: number): Counter => {
    const instruments = of(route)
    return instruments.byStatus[status] ??= requests.child(instruments.route, String(status))
  }
  return { of, answered }
}

const tokenMetrics = (registry: MetricRegistry, limits: Pick<FrontMetricsLimits, "modelsMax">) => {
  const prompt = registry.counter("warmroute_prompt_tokens_total", "Prompt tokens, as the pods told.", ["model"])
  const cached = registry.counter(
    "warmroute_cached_prompt_tokens_total",
    "Prompt tokens that the pods found in their prefix cache, as they told.",
    ["model"]
  )
  const output = registry.counter("warmroute_output_tokens_total", "Output tokens, told or counted.", ["model"])
  const of = memoized((model): ModelInstruments => ({
    prompt: prompt.child(model),
    cached: cached.child(model),
    output: output.child(model)
  }), () => limits.modelsMax)
  return {
    tokens: (
      model: string,
      promptTokens: number | undefined,
      cachedTokens: number | undefined,
      outputTokens: number | undefined
    ): void => {
      const instruments = of(model)
      if (promptTokens !== undefined) instruments.prompt.add(promptTokens)
      if (cachedTokens !== undefined) instruments.cached.add(cachedTokens)
      if (outputTokens !== undefined) instruments.output.add(outputTokens)
    }
  }
}

/** More than src/errors.ts has. */
const ERROR_CODES_MAX = 64

/** They are there from the start, as a rate over a series that begins with its first event misses that one. */
const overloadCodes = [
  "queue_full",
  "queue_too_long",
  "queue_timeout",
  "no_pod_available",
  "too_many_open_requests",
  "request_memory_full",
  "request_disk_full",
  "scheduler_mailbox_full",
  "pod_connections_full",
  "pods_filtered",
  "internal_error"
]

const podFailuresMetric = {
  name: "warmroute_pod_failures_total",
  help: "Requests that came to nothing at a pod, by what was seen there.",
  label: "reason"
}

/** Read anew each time, so that they may change. */
export interface FrontMetricsLimits {
  readonly routesMax: number
  /** Tokens of further models count for `other`. */
  readonly modelsMax: number
  /** Pods whose TTFT is added up. */
  readonly podsMax: number
}

/** What the HTTP front counts; each call adds to a few numbers. The shape is the front's own `FrontMetrics`. */
export const makeFrontMetrics = (registry: MetricRegistry, limits: FrontMetricsLimits) => {
  const open = registry.gauge("warmroute_open_requests", "Requests whose answer has not ended.").child()
  const routes = routeInstruments(registry, limits.routesMax)
  const outcomes = registry.counter(
    "warmroute_request_outcomes_total",
    "Requests by their end: finished, failed (no whole answer), aborted (the client left).",
    ["outcome"]
  )
  const byOutcome = {
    finished: outcomes.child("finished"),
    failed: outcomes.child("failed"),
    aborted: outcomes.child("aborted")
  }
  const aborts = registry.counter("warmroute_client_aborts_total", "Requests whose client left early.").child()
  const pickWait = registry.histogram(
    "warmroute_pick_wait_seconds",
    "From a request's question for a pod to the scheduler's answer.",
    waitBoundsS
  ).child()
  const retriesFor = countersBy(registry, "warmroute_retries_total", "Requests sent to a second pod.", "reason", 16)
  const denialsFor = countersBy(
    registry,
    "warmroute_retries_denied_total",
    "Requests that failed at a pod and were not sent to another, by why: limit, unsafe, budget, request-fault, no-pod.",
    "why",
    8
  )
  const podFailures = new PodCounters(registry, podFailuresMetric, limits.podsMax)
  const timeoutsFor = countersBy(registry, "warmroute_timeouts_total", "Times that ran out, by phase.", "phase", 8)
  const errorsFor = countersBy(
    registry,
    "warmroute_errors_total",
    "Errors of the gateway's own that clients were told, by their code; what pods said is not among them.",
    "code",
    ERROR_CODES_MAX
  )
  for (const code of overloadCodes) errorsFor(code)
  const { ttft } = makeTtftMetrics(registry, limits.podsMax)
  return {
    requestStarted: (_route: string): void => open.add(1),
    requestEnded: (
      route: string,
      status: number,
      outcome: "finished" | "failed" | "aborted",
      durationS: number
    ): void => {
      open.add(-1)
      routes.answered(route, status).add()
      routes.of(route).duration.observe(durationS)
      byOutcome[outcome].add()
      if (outcome === "aborted") aborts.add()
    },
    firstByte: (route: string, ttftS: number): void => routes.of(route).ttft.observe(ttftS),
    ttft,
    picked: (_route: string, waitS: number): void => pickWait.observe(waitS),
    retried: (reason: string): void => retriesFor(reason).add(),
    retryDenied: (why: string): void => denialsFor(why).add(),
    ...rescueMetrics(registry),
    podFailed: (pod: string, reason: string): void => podFailures.add(pod, reason),
    refused: ({ code }: { readonly code: string }): void => errorsFor(code).add(),
    timedOut: (phase: string): void => timeoutsFor(phase).add(),
    ...tokenMetrics(registry, limits)
  }
}
