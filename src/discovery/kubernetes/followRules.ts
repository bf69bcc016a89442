import { Effect } from "effect"
import { modelRewrites } from "../../core/ModelRewrite.ts"
import type { PoolRules } from "../../core/PoolRules.ts"
import { type Cluster, reflectorOf } from "./Cluster.ts"
import { type ClusterObjective, clusterObjective, type ClusterRewrite, clusterRewrite } from "./clusterObjects.ts"

/** The old group is read only where the cluster does not know the new one, as llm-d does. */
const ruleGroups = ["llm-d.ai/v1alpha2", "inference.networking.x-k8s.io/v1alpha2"]

/**
 * Keeps `rules` as the cluster has them for the pool, and opens `read` once they have been read. Runs for ever; a
 * cluster without their CRDs, or that forbids them, has none.
 */
export const followRules = (
  followed: Cluster,
  pool: string,
  rules: PoolRules,
  read: Effect.Latch
): Effect.Effect<void> =>
  Effect.gen(function*() {
    const cluster = { ...followed, changed: yield* Effect.makeLatch(false) }
    const target = (plural: string, kind: string) => ({
      what: `${kind} in ${cluster.inNamespace}`,
      paths: ruleGroups.map((group) =>
        `/apis/${group}/namespaces/${encodeURIComponent(cluster.inNamespace)}/${plural}`
      ),
      optional: true
    })
    const objectives = reflectorOf<ClusterObjective>(cluster, {
      ...target("inferenceobjectives", "InferenceObjectives"),
      decode: clusterObjective
    })
    const rewrites = reflectorOf<ClusterRewrite>(cluster, {
      ...target("inferencemodelrewrites", "InferenceModelRewrites"),
      decode: clusterRewrite
    })
    const update = Effect.gen(function*() {
      while (true) {
        yield* cluster.changed.await
        yield* cluster.changed.close
        const ofPool = [...objectives.objects].filter(([, objective]) => objective.pool === pool)
        rules.replace(
          new Map(ofPool.map(([name, { priority }]) => [name, priority])),
          modelRewrites([...rewrites.objects.values()].filter((rewrite) => rewrite.pool === pool))
        )
        if (objectives.synced && rewrites.synced) yield* read.open
        yield* Effect.sleep(cluster.settleMs)
      }
    })
    // Optional objects never fail, so that the three run for ever.
    yield* Effect.all([update, Effect.ignore(objectives.run), Effect.ignore(rewrites.run)], {
      concurrency: "unbounded",
      discard: true
    })
  })
