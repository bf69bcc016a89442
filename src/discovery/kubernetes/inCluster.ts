import { ClusterAccessError, type ReadAccess, readCredential } from "./ClusterAccess.ts"

export interface InClusterPlace {
  /** `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`, which every container of a cluster gets. */
  readonly host: string | undefined
  readonly port: string | undefined
  /** Where the service account's `token`, `ca.crt` and `namespace` are mounted. */
  readonly directory: string
}

export const serviceAccountDirectory = "/var/run/secrets/kubernetes.io/serviceaccount"

/** The service account of the pod that we run in. The kubelet replaces its token about every 48 minutes. */
export const inClusterAccess = ({ directory, host, port }: InClusterPlace): ReadAccess => async () => {
  if (host === undefined || host === "" || port === undefined || port === "") {
    throw new ClusterAccessError({
      why: "this is no container of a cluster (KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set); " +
        "outside of one set discovery.kubernetes.kubeconfig"
    })
  }
  const token = await readCredential(`${directory}/token`, "the service account's token")
  const ca = await readCredential(`${directory}/ca.crt`, "the cluster's CA")
  const namespace = await readCredential(`${directory}/namespace`, "the service account's namespace")
  return {
    server: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
    namespace: namespace.trim(),
    token: token.trim(),
    tls: { ca, cert: undefined, key: undefined, serverName: undefined, insecure: false }
  }
}
