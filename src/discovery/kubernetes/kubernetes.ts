import { Effect, Stream } from "effect"
import type { PodAddress } from "../../core/Pod.ts"
import { type Discovery, DiscoveryError } from "../Discovery.ts"
import { samePods } from "../samePods.ts"
import type { ApiFault } from "./ApiFault.ts"
import { type Cluster, type KubernetesOptions, type KubernetesTarget, makeCluster } from "./Cluster.ts"
import { followPods, type PodsSeen } from "./followPods.ts"
import { followRules } from "./followRules.ts"

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
 * Pods of a Kubernetes cluster. While they are followed, and they are those of an InferencePool, its objectives and
 * rewrites are written to `rules`.
 */
export const kubernetesDiscovery = (options: KubernetesOptions): Discovery => {
  const name = nameOf(options.target)
  const follow = (emit: (pods: ReadonlyArray<PodAddress>) => void) =>
    Effect.gen(function*() {
      const { rules, rulesWithinMs, target } = options
      const cluster = yield* makeCluster(options)
      const rulesRead = yield* Effect.makeLatch(!("pool" in target))
      if ("pool" in target) yield* Effect.forkScoped(followRules(cluster, target.pool, rules, rulesRead))
      const { failed, seen } = yield* followPods(cluster)
      const waited = rulesRead.await.pipe(Effect.timeoutOption(rulesWithinMs), Effect.asVoid)
      yield* tell(cluster, seen, failed, waited, emit)
    })
  const addresses = Stream.asyncPush<ReadonlyArray<PodAddress>, DiscoveryError>((emit) =>
    follow(emit.single).pipe(
      Effect.catchAll(({ message }) =>
        Effect.sync(() => emit.fail(new DiscoveryError({ source: name, why: message })))
      ),
      Effect.forkScoped
    ), { bufferSize: 1, strategy: "sliding" })
  return { name, addresses }
}

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
