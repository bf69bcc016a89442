import { Context, Layer } from "effect"
import { PoolRules } from "../../src/core/PoolRules.ts"

/** What a cluster says of the requests to the pool; empty where pods come from elsewhere. */
export class ClusterRules extends Context.Tag("warmroute/ClusterRules")<ClusterRules, PoolRules>() {}

export const layer: Layer.Layer<ClusterRules> = Layer.sync(ClusterRules, () => new PoolRules())
