import { Duration } from "effect"
import type { PoolRules } from "../src/core/PoolRules.ts"
import type { Discovery } from "../src/discovery/Discovery.ts"
import { inClusterAccess, serviceAccountDirectory } from "../src/discovery/kubernetes/inCluster.ts"
import { kubeconfigAccess } from "../src/discovery/kubernetes/kubeconfig.ts"
import { kubernetesDefaults, kubernetesDiscovery } from "../src/discovery/kubernetes/kubernetes.ts"
import type { KubernetesTarget } from "../src/discovery/kubernetes/Cluster.ts"
import type { KubernetesDiscovery } from "./kubernetesSection.ts"

const targetOf = ({ pool, ports, selector, service }: KubernetesDiscovery): KubernetesTarget => {
  if (pool !== undefined) return { pool }
  return selector === undefined ? { service: service ?? "", ports } : { selector, ports }
}

/** In words: `the InferencePool vllm`. */
export const kubernetesText = ({ pool, selector, service }: KubernetesDiscovery): string => {
  if (pool !== undefined) return `the InferencePool ${pool}`
  return selector === undefined ? `the Service ${service} of the cluster` : `pods of the cluster with ${selector}`
}

/** The source of pods that the section describes; it writes what the pool says of requests to `rules`. */
export const kubernetesSource = (section: KubernetesDiscovery, rules: PoolRules): Discovery => {
  const { context, kubeconfig, namespace } = section
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env
  return kubernetesDiscovery({
    ...kubernetesDefaults,
    readAccess: kubeconfig === undefined
      ? inClusterAccess({ host, port, directory: serviceAccountDirectory })
      : kubeconfigAccess({ path: kubeconfig, context }),
    namespace,
    target: targetOf(section),
    rules,
    tls: section.tls,
    settleMs: Duration.toMillis(section.settle),
    pageSize: section.pageSize,
    objectsMax: section.objectsMax,
    objectBytesMax: section.objectBytesMax,
    answerBytesMax: section.answerBytesMax,
    requestTimeoutMs: Duration.toMillis(section.requestTimeout),
    watchTimeoutMs: Duration.toMillis(section.watchTimeout),
    retryMinMs: Duration.toMillis(section.retryMin),
    retryMaxMs: Duration.toMillis(section.retryMax),
    credentialsMaxAgeMs: Duration.toMillis(section.credentialsMaxAge)
  })
}
