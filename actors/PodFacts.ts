import { Effect, Either, Option } from "effect"
import type { PodAddress } from "../src/core/Pod.ts"
import type { PodMetrics } from "../src/vllm/MetricsText.ts"
import { type PodProbe, PodProbeError } from "../src/vllm/PodProbe.ts"
import type { ModelCard } from "./PoolView.ts"

interface Scraped {
  readonly _tag: "Scraped"
  readonly metrics: PodMetrics
}
interface ScrapeFailed {
  readonly _tag: "ScrapeFailed"
  readonly error: PodProbeError
}
export interface Inspected {
  readonly _tag: "Inspected"
  /** dead: it answers and says that it can't work. silent: no answer. */
  readonly life: "alive" | "dead" | "silent"
  readonly models: ReadonlyArray<ModelCard> | undefined
  readonly version: string | undefined
  /** Why it is not alive or its models are unknown. */
  readonly problem: PodProbeError | undefined
}
/** What a pod's answers say, as messages to its actor. */
export type ProbeFact = Scraped | ScrapeFailed | Inspected

export interface Questioned {
  readonly address: PodAddress
  readonly probe: PodProbe
  readonly options: { readonly scrapeTimeoutMs: number }
}

/** Asks for the metrics once. */
export const scrape = ({ address, options, probe }: Questioned): Effect.Effect<ProbeFact> =>
  Effect.match(ask("/metrics", () => probe.metrics(address, options.scrapeTimeoutMs)), {
    onFailure: (error): ProbeFact => ({ _tag: "ScrapeFailed", error }),
    onSuccess: (metrics): ProbeFact => ({ _tag: "Scraped", metrics })
  })

/** Asks for health and, from a pod that lives, models and version. */
export const inspection = ({ address, options, probe }: Questioned): Effect.Effect<ProbeFact> =>
  Effect.gen(function*() {
    const timeoutMs = options.scrapeTimeoutMs
    if (!(yield* ask("/health", () => probe.health(address, timeoutMs)))) {
      return notAlive("dead", new PodProbeError({ what: "/health", why: "it answers that it can't work" }))
    }
    const models = yield* Effect.either(ask("/v1/models", () => probe.models(address, timeoutMs)))
    const version = yield* Effect.option(ask("/version", () => probe.version(address, timeoutMs)))
    return {
      _tag: "Inspected" as const,
      life: "alive" as const,
      models: Either.getOrUndefined(models),
      version: Option.getOrUndefined(version),
      problem: Either.isLeft(models) ? models.left : undefined
    }
  }).pipe(Effect.catchAll((error) => Effect.succeed(notAlive("silent", error))))

const notAlive = (life: "dead" | "silent", problem: PodProbeError): Inspected => ({
  _tag: "Inspected",
  life,
  models: undefined,
  version: undefined,
  problem
})

const ask = <A>(what: string, question: () => Promise<A>): Effect.Effect<A, PodProbeError> =>
  Effect.tryPromise({
    try: question,
    catch: (error) => error instanceof PodProbeError ? error : new PodProbeError({ what, why: String(error) })
  })
