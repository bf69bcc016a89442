import { Effect, Schedule } from "effect"
import { type ModelRewrites, modelRewrites } from "../../core/ModelRewrite.ts"
import { type KubernetesOptions, makeCluster, reflectorOf } from "./Cluster.ts"
import { type ClusterObjective, clusterObjective, type ClusterRewrite, clusterRewrite } from "./clusterObjects.ts"

/** Objectives and rewrites as they are now. */
export interface Rules {
  priorities: ReadonlyMap<string, number>
  rewrites: ModelRewrites
}

/** The old group is read only where the cluster does not know the new one, as llm-d does. */
const ruleGroups = ["llm-d.ai/v1alpha2", "inference.networking.x-k8s.io/v1alpha2"]

/** Keeps `rules` as the cluster has them for the pool, and opens `read` once they have been read. Runs for ever. */
export const followRules = (
  options: KubernetesOptions,
  pool: string,
  rules: Rules,
  read: Effect.Latch
): Effect.Effect<void> =>
  Effect.gen(function*() {
    // Those who follow the pods say why the credentials can't be read.
    const cluster = yield* Effect.retry(makeCluster(options), Schedule.spaced(options.retryMaxMs))
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
        rules.priorities = new Map(ofPool.map(([name, { priority }]) => [name, priority]))
        rules.rewrites = modelRewrites([...rewrites.objects.values()].filter((rewrite) => rewrite.pool === pool))
        if (objectives.synced && rewrites.synced) yield* read.open
        yield* Effect.sleep(cluster.settleMs)
      }
    })
    // Optional objects never fail, so that the three run for ever.
    yield* Effect.all([update, Effect.ignore(objectives.run), Effect.ignore(rewrites.run)], {
      concurrency: "unbounded",
      discard: true
    })
  }).pipe(Effect.ignore)
