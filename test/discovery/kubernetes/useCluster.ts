import { afterEach, beforeEach, expect } from "bun:test"
import type { KubernetesOptions } from "../../../src/discovery/kubernetes/Cluster.ts"
import { eventually } from "../../lib/eventually.ts"
import { ApiServer } from "./ApiServer.ts"
import { followCluster, type FollowedCluster } from "./followCluster.ts"
import { inferencePool, objectivesPath, podsPath, poolsPath, rewritesPath, slicesPath, vllmPod } from "./objects.ts"

export interface TestCluster {
  /** The API server of the running test. */
  server: ApiServer
  readonly start: (changes?: Partial<KubernetesOptions>) => FollowedCluster
  /** Follows a pool that has the pods 10.0.0.1 and 10.0.0.2, and waits until both are watched. */
  readonly startPool: (changes?: Partial<KubernetesOptions>) => Promise<FollowedCluster>
  readonly watching: (path: string) => Promise<void>
}

/** An API server for each test of the file; what follows it is stopped after the test. */
export const useCluster = (): TestCluster => {
  const followers: Array<FollowedCluster> = []
  const cluster: TestCluster = {
    server: undefined as unknown as ApiServer,
    start: (changes) => {
      const followed = followCluster(cluster.server, changes)
      followers.push(followed)
      return followed
    },
    startPool: async (changes) => {
      cluster.server.put(poolsPath, inferencePool())
      cluster.server.put(podsPath, vllmPod("a", "10.0.0.1"))
      cluster.server.put(podsPath, vllmPod("b", "10.0.0.2"))
      const followed = cluster.start(changes)
      expect(await followed.nextSet()).toBe("10.0.0.1:8000 10.0.0.2:8000")
      await cluster.watching(podsPath)
      await cluster.watching(poolsPath)
      return followed
    },
    watching: (path) => eventually(`a watch of ${path}`, () => cluster.server.openWatches(path) > 0)
  }
  beforeEach(async () => {
    cluster.server = await ApiServer.start([podsPath, poolsPath, slicesPath, objectivesPath, rewritesPath])
  })
  afterEach(async () => {
    for (const followed of followers.splice(0)) await followed.stop()
    await cluster.server.stop()
  })
  return cluster
}
