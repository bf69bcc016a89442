import { Effect } from "effect"
import type { PoolRules } from "../../core/PoolRules.ts"
import { ApiClient, type ApiClientOptions } from "./ApiClient.ts"
import type { ApiFault } from "./ApiFault.ts"
import type { ReadAccess } from "./ClusterAccess.ts"
import { makeRateLimitedLog, type RateLimitedLog } from "./RateLimitedLog.ts"
import { Reflector, type ReflectorOptions, type ReflectorTarget } from "./Reflector.ts"

/** Which pods of the cluster serve. */
export type KubernetesTarget =
  /** Those of an InferencePool (inference.networking.k8s.io/v1), with its ports. */
  | { readonly pool: string }
  /** Those with labels, written as for `kubectl --selector`, each with these ports. */
  | { readonly selector: string; readonly ports: ReadonlyArray<number> }
  /** Those of a Service, by its EndpointSlices; `ports` says which of several, empty: its only one. */
  | { readonly service: string; readonly ports: ReadonlyArray<number> }

export interface KubernetesOptions extends ApiClientOptions, ReflectorOptions {
  readonly readAccess: ReadAccess
  /** Undefined: that of the credentials. */
  readonly namespace: string | undefined
  readonly target: KubernetesTarget
  /** Where the pool's objectives and rewrites go. */
  readonly rules: PoolRules
  /** Reach the pods by https. */
  readonly tls: boolean
  /** Changes are told at most this often. */
  readonly settleMs: number
  /** Warnings of one kind are logged at most this often. */
  readonly warnEveryMs: number
  /** The first set of pods waits so long for the objectives and rewrites of the pool to be read. */
  readonly rulesWithinMs: number
}

/** What all watches of one follower share. */
export interface Cluster extends KubernetesOptions {
  readonly client: ApiClient
  readonly log: RateLimitedLog
  readonly nowMs: () => number
  readonly inNamespace: string
  /** Opened by each change of the copies; nobody but this follower waits for it. */
  readonly changed: Effect.Latch
}

/** Fails when the credentials can't be read. */
export const makeCluster = (options: KubernetesOptions): Effect.Effect<Cluster, ApiFault> =>
  Effect.gen(function*() {
    const clock = yield* Effect.clock
    const nowMs = () => clock.unsafeCurrentTimeMillis()
    const client = new ApiClient(options.readAccess, options, nowMs)
    return {
      ...options,
      client,
      log: yield* makeRateLimitedLog(options.warnEveryMs, nowMs),
      nowMs,
      inNamespace: options.namespace ?? (yield* client.namespace),
      changed: yield* Effect.makeLatch(false)
    }
  })

/** A copy of some objects of the cluster; each change of it opens `changed`. */
export const reflectorOf = <T>(cluster: Cluster, target: Omit<ReflectorTarget<T>, "onChange">): Reflector<T> =>
  new Reflector(
    cluster.client,
    { ...target, onChange: () => cluster.changed.unsafeOpen() },
    cluster,
    cluster.log,
    cluster.nowMs
  )
