import { Effect, Exit, Logger, Scope } from "effect"
import type { KubernetesOptions } from "../../../src/discovery/kubernetes/Cluster.ts"
import { type ReadAccess, readCredential } from "../../../src/discovery/kubernetes/ClusterAccess.ts"
import {
  kubernetesDefaults,
  type KubernetesSource,
  makeKubernetesSource
} from "../../../src/discovery/kubernetes/KubernetesSource.ts"
import { follow, type Followed } from "../follow.ts"
import { type ApiServer, tlsFile } from "./ApiServer.ts"

export interface FollowedCluster extends Followed {
  readonly source: KubernetesSource
}

/** Credentials that are right: the token `secret` and the cluster's CA. */
export const tokenAccess = (server: ApiServer, token = () => "secret"): ReadAccess => async () => ({
  server: server.url,
  namespace: "default",
  token: token(),
  tls: {
    ca: await readCredential(tlsFile("ca.crt"), "the CA"),
    cert: undefined,
    key: undefined,
    serverName: undefined,
    insecure: false
  }
})

/** Runs a source as the gateway would, with pauses that suit a test. */
export const followCluster = async (
  server: ApiServer,
  changes: Partial<KubernetesOptions> = {}
): Promise<FollowedCluster> => {
  const scope = await Effect.runPromise(Scope.make())
  const source = await Effect.runPromise(
    makeKubernetesSource({
      ...kubernetesDefaults,
      readAccess: tokenAccess(server),
      namespace: undefined,
      target: { pool: "vllm" },
      tls: false,
      settleMs: 5,
      retryMinMs: 5,
      retryMaxMs: 40,
      rulesWithinMs: 2000,
      ...changes
    }).pipe(Scope.extend(scope), Effect.provide(Logger.remove(Logger.defaultLogger)))
  )
  const followed = follow(source.discovery)
  return {
    ...followed,
    source,
    stop: async () => {
      await followed.stop()
      await Effect.runPromise(Scope.close(scope, Exit.void))
    }
  }
}
