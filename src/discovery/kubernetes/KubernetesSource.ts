import { Effect, type Scope, Stream } from "effect"
import { type ModelRewrites, modelRewrites } from "../../core/ModelRewrite.ts"
import type { PodAddress } from "../../core/Pod.ts"
import { type Discovery, DiscoveryError } from "../Discovery.ts"
import { samePods } from "../samePods.ts"
import type { ApiFault } from "./ApiFault.ts"
import { type Cluster, type KubernetesOptions, type KubernetesTarget, makeCluster } from "./Cluster.ts"
import { followPods, type PodsSeen } from "./followPods.ts"
import { followRules, type Rules } from "./followRules.ts"

/** What the cluster says about a pool: its pods, its objectives and its rewrites. */
export interface KubernetesSource {
  readonly discovery: Discovery
  /** Priority of the pool's InferenceObjective of that name; undefined: there is none. A live view. */
  readonly priorityOf: (objective: string) => number | undefined
  /** The pool's InferenceModelRewrites. A live view. */
  readonly rewrites: ModelRewrites
}

/** Limits that suit a pool of a thousand pods. */
export const kubernetesDefaults = {
  requestTimeoutMs: 30_000,
  answerBytesMax: 64 * 1024 * 1024,
  objectBytesMax: 4 * 1024 * 1024,
  credentialsMaxAgeMs: 60_000,
  pageSize: 500,
  objectsMax: 20_000,
  watchTimeoutMs: 300_000,
  watchGraceMs: 10_000,
  retryMinMs: 250,
  retryMaxMs: 30_000,
  settleMs: 100,
  warnEveryMs: 60_000,
  rulesWithinMs: 3000
} as const satisfies Partial<KubernetesOptions>

/**
 * Follows the cluster in the scope. Objectives and rewrites are read where the pods are those of an InferencePool; a
 * cluster without their CRDs, or that forbids them, has none.
 */
export const makeKubernetesSource = (options: KubernetesOptions): Effect.Effect<KubernetesSource, never, Scope.Scope> =>
  Effect.gen(function*() {
    const rules: Rules = { priorities: new Map(), rewrites: modelRewrites([]) }
    const rulesRead = yield* Effect.makeLatch(true)
    if ("pool" in options.target) {
      yield* rulesRead.close
      yield* Effect.forkScoped(followRules(options, options.target.pool, rules, rulesRead))
    }
    const waited = rulesRead.await.pipe(Effect.timeoutOption(options.rulesWithinMs), Effect.asVoid)
    const name = nameOf(options.target)
    const addresses = Stream.asyncPush<ReadonlyArray<PodAddress>, DiscoveryError>((emit) =>
      Effect.gen(function*() {
        const cluster = yield* makeCluster(options)
        const { failed, seen } = yield* followPods(cluster)
        yield* tell(cluster, seen, failed, waited, emit.single)
      }).pipe(
        Effect.catchAll((fault) =>
          Effect.sync(() => emit.fail(new DiscoveryError({ source: name, why: fault.message })))
        ),
        Effect.forkScoped
      ), { bufferSize: 1, strategy: "sliding" })
    return {
      discovery: { name, addresses },
      priorityOf: (objective) => rules.priorities.get(objective),
      rewrites: {
        targetOf: (model, random) => rules.rewrites.targetOf(model, random),
        names: () => rules.rewrites.names()
      }
    }
  })

const nameOf = (target: KubernetesTarget): string => {
  if ("pool" in target) return `kubernetes InferencePool ${target.pool}`
  return "selector" in target ? `kubernetes pods ${target.selector}` : `kubernetes Service ${target.service}`
}

/** Hands over the first set and each one that differs, at most every `settleMs`; fails when a first list does. */
const tell = (
  cluster: Cluster,
  seen: PodsSeen,
  failed: Effect.Effect<never, ApiFault>,
  beforeFirst: Effect.Effect<void>,
  emit: (pods: ReadonlyArray<PodAddress>) => void
): Effect.Effect<never, ApiFault> => {
  let told: ReadonlyArray<PodAddress> | undefined
  const tellChanges = Effect.gen(function*() {
    while (true) {
      yield* cluster.changed.await
      yield* cluster.changed.close
      yield* seen.adapt
      const pods = seen.pods()
      if (pods === undefined) continue
      if (told === undefined) yield* beforeFirst
      if (told === undefined || !samePods(told, pods)) {
        told = pods
        emit(pods)
      }
      yield* Effect.sleep(cluster.settleMs)
    }
  })
  return Effect.raceFirst(tellChanges, failed)
}
