import { Effect, FiberHandle } from "effect"
import type { PodAddress } from "../../core/Pod.ts"
import type { ApiFault } from "./ApiFault.ts"
import { type Cluster, reflectorOf } from "./Cluster.ts"
import {
  type ClusterPod,
  clusterPod,
  type ClusterPool,
  clusterPool,
  type ClusterSlice,
  clusterSlice
} from "./clusterObjects.ts"
import { type PodsOf, podsOfCluster, podsOfSlices } from "./podSets.ts"
import type { Reflector, ReflectorTarget } from "./Reflector.ts"

/** What is known of the pods; the follower writes it, and the teller reads it when `changed` opens. */
export interface PodsSeen {
  /** Undefined until everything has been listed. */
  readonly pods: () => ReadonlyArray<PodAddress> | undefined
  /** Follows what has to follow from what was seen, such as the pods of another selector. */
  readonly adapt: Effect.Effect<void>
}

/** Starts to follow the pods of the target in the scope. `failed` ends when a first list fails, and only then. */
export const followPods = (cluster: Cluster) => {
  const { target } = cluster
  if ("pool" in target) return followPool(cluster, target.pool)
  return "selector" in target
    ? followList(cluster, podsTarget(cluster, target.selector), target.ports, podsOfCluster)
    : followList(cluster, slicesTarget(cluster, target.service), target.ports, podsOfSlices)
}

const podsTarget = (cluster: Cluster, labelSelector: string): Omit<ReflectorTarget<ClusterPod>, "onChange"> => ({
  what: `pods ${labelSelector} in ${cluster.inNamespace}`,
  paths: [`/api/v1/namespaces/${encodeURIComponent(cluster.inNamespace)}/pods`],
  labelSelector,
  optional: false,
  decode: clusterPod
})

const slicesTarget = (cluster: Cluster, service: string): Omit<ReflectorTarget<ClusterSlice>, "onChange"> => ({
  what: `EndpointSlices of ${service} in ${cluster.inNamespace}`,
  paths: [`/apis/discovery.k8s.io/v1/namespaces/${encodeURIComponent(cluster.inNamespace)}/endpointslices`],
  labelSelector: `kubernetes.io/service-name=${service}`,
  optional: false,
  decode: clusterSlice
})

/** The pods are those of one list. */
const followList = <T>(
  cluster: Cluster,
  target: Omit<ReflectorTarget<T>, "onChange">,
  ports: ReadonlyArray<number>,
  podsOf: PodsOf<T>
) =>
  Effect.sync(() => {
    const list = reflectorOf(cluster, target)
    const pods = () => list.synced ? podsOf(list.objects.values(), ports, cluster.tls, cluster.log.warn) : undefined
    return { seen: { pods, adapt: Effect.void }, failed: list.run }
  })

/** The pods of a pool change with its selector; until the new ones are listed the old ones serve. */
const followPool = (cluster: Cluster, name: string) =>
  Effect.gen(function*() {
    const pools = reflectorOf<ClusterPool>(cluster, {
      what: `InferencePool ${name} in ${cluster.inNamespace}`,
      paths: [
        `/apis/inference.networking.k8s.io/v1/namespaces/${encodeURIComponent(cluster.inNamespace)}/inferencepools`
      ],
      fieldSelector: `metadata.name=${name}`,
      optional: false,
      decode: clusterPool
    })
    const podsFiber = yield* FiberHandle.make<never, ApiFault>()
    const podsFailed = yield* Effect.makeLatch(false)
    let fault: ApiFault | undefined
    let followed: { readonly selector: string; readonly pods: Reflector<ClusterPod> } | undefined
    let serving: Reflector<ClusterPod> | undefined
    let described = ""
    const adapt = Effect.gen(function*() {
      const pool = pools.objects.get(name)
      if (pools.synced) described = describePool(cluster, name, pool, described)
      if (pool !== undefined && pool.labelSelector !== followed?.selector) {
        const pods = reflectorOf(cluster, podsTarget(cluster, pool.labelSelector))
        followed = { selector: pool.labelSelector, pods }
        const failing = Effect.tapError(pods.run, (cause) =>
          Effect.sync(() => {
            fault = cause
            podsFailed.unsafeOpen()
          }))
        yield* FiberHandle.run(podsFiber, failing)
      }
      if (followed?.pods.synced === true) serving = followed.pods
    })
    const pods = (): ReadonlyArray<PodAddress> | undefined => {
      if (!pools.synced) return undefined
      const pool = pools.objects.get(name)
      if (pool === undefined) return []
      return serving === undefined
        ? undefined
        : podsOfCluster(serving.objects.values(), pool.ports, cluster.tls, cluster.log.warn)
    }
    const failedPods = Effect.flatMap(podsFailed.await, () => Effect.suspend(() => Effect.fail(fault!)))
    return { seen: { pods, adapt }, failed: Effect.raceFirst(pools.run, failedPods) }
  })

/** Logs what a pool says when that differs from `before`, and returns it. */
const describePool = (cluster: Cluster, name: string, pool: ClusterPool | undefined, before: string): string => {
  if (pool === undefined) {
    const missing = `InferencePool ${name} does not exist in ${cluster.inNamespace}; it has no pods until it does`
    if (before !== missing) cluster.log.warn("pool", missing)
    return missing
  }
  const picker = pool.picker === undefined ? "" : `, picker ${pool.picker}`
  const text = `InferencePool ${name}: pods ${pool.labelSelector}, ports ${pool.ports.join(", ")}${picker}`
  if (before === text) return text
  cluster.log.info(text)
  if (pool.appProtocol !== "http") {
    cluster.log.warn("protocol", `InferencePool ${name} says ${pool.appProtocol}, but warmroute asks pods by HTTP/1.1`)
  }
  return text
}
