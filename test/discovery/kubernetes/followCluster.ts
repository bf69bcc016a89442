import { PoolRules } from "../../../src/core/PoolRules.ts"
import type { KubernetesOptions } from "../../../src/discovery/kubernetes/Cluster.ts"
import { type ReadAccess, readCredential } from "../../../src/discovery/kubernetes/ClusterAccess.ts"
import { kubernetesDefaults, kubernetesDiscovery } from "../../../src/discovery/kubernetes/kubernetes.ts"
import { follow, type Followed } from "../follow.ts"
import { type ApiServer, tlsFile } from "./ApiServer.ts"

export interface FollowedCluster extends Followed {
  readonly rules: PoolRules
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

/** Runs a discovery as the gateway would, with pauses that suit a test. */
export const followCluster = (server: ApiServer, changes: Partial<KubernetesOptions> = {}): FollowedCluster => {
  const rules = new PoolRules()
  const discovery = kubernetesDiscovery({
    ...kubernetesDefaults,
    readAccess: tokenAccess(server),
    namespace: undefined,
    target: { pool: "vllm" },
    rules,
    tls: false,
    settleMs: 5,
    retryMinMs: 5,
    retryMaxMs: 40,
    rulesWithinMs: 2000,
    ...changes
  })
  return { ...follow(discovery), rules }
}
