import { isIP } from "node:net"
import { type PodAddress, podAddress, type PodId } from "../../core/Pod.ts"
import type { ClusterPod, ClusterSlice } from "./clusterObjects.ts"

/** What is said of pods that are left out, by a kind that is logged once in a while. */
type Complain = (kind: string, message: string) => void

const ROLE_LABEL = "llm-d.ai/role"
/** Roles that serve a whole request, llm-d's decode filter; a pod without the label does too. */
const wholeRoles = new Set(["decode", "prefill-decode", "both", "encode-prefill-decode"])

/** In order of id; of two pods with one address, as on the host's network, the first one counts. */
const ordered = (pods: ReadonlyArray<PodAddress>, complain: Complain): ReadonlyArray<PodAddress> => {
  const byId = new Map<PodId, PodAddress>()
  for (const pod of pods) {
    const earlier = byId.get(pod.id)
    if (earlier === undefined) {
      byId.set(pod.id, pod)
    } else {
      const where = `the address of ${earlier.name ?? "another"}, ${pod.id},`
      complain("address", `${pod.name ?? "a pod"} has ${where} and is left out`)
    }
  }
  return [...byId.values()].sort((one, other) => one.id < other.id ? -1 : 1)
}

/** `ports` say where a pod serves; pods that are left out are complained of. */
export type PodsOf<T> = (
  objects: Iterable<T>,
  ports: ReadonlyArray<number>,
  tls: boolean,
  complain: Complain
) => ReadonlyArray<PodAddress>

/**
 * The pods that take requests: ready, with an address, with a role that serves whole requests. Each port is a pod of
 * its own, the data-parallel rank of its place in the list.
 */
export const podsOfCluster: PodsOf<ClusterPod> = (pods, ports, tls, complain) => {
  const addresses: Array<PodAddress> = []
  for (const { activePorts, ip, labels, name, ready } of pods) {
    if (!ready || ip === undefined) continue
    const role = labels[ROLE_LABEL]
    if (role !== undefined && !wholeRoles.has(role)) {
      complain("role", `${name} has the role ${role}, which serves no whole requests, and is left out`)
      continue
    }
    for (const [index, port] of ports.entries()) {
      if (activePorts !== undefined && !activePorts.includes(port)) continue
      const rank = ports.length > 1 ? { rank: index } : {}
      addresses.push({ ...podAddress(ip, port, tls), name, labels, ...rank })
    }
  }
  return ordered(addresses, complain)
}

/** The pods of a Service by its EndpointSlices; IPv6 counts only where there is no IPv4, as both name the same pods. */
export const podsOfSlices: PodsOf<ClusterSlice> = (slices, ports, tls, complain) => {
  const all = [...slices]
  const family = all.some((slice) => slice.family === "IPv4" && slice.pods.length > 0) ? "IPv4" : "IPv6"
  const addresses: Array<PodAddress> = []
  for (const slice of all) {
    if (slice.family !== family) {
      if (slice.family === "FQDN") complain("family", "an EndpointSlice lists host names, which are left out; use dns")
      continue
    }
    const served = ports.length === 0 ? slice.ports : slice.ports.filter(({ port }) => ports.includes(port))
    if (ports.length === 0 && served.length > 1) {
      const names = served.map(({ name, port }) => name === "" ? String(port) : `${port} (${name})`).join(", ")
      complain("ports", `the Service has the ports ${names}; say which serve requests in discovery.kubernetes.ports`)
      continue
    }
    for (const { ip, name, ready } of slice.pods) {
      if (!ready || isIP(ip) === 0) continue
      for (const each of served) {
        addresses.push({ ...podAddress(ip, each.port, tls || each.tls), ...(name === undefined ? {} : { name }) })
      }
    }
  }
  return ordered(addresses, complain)
}
