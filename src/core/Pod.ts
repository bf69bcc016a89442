/** `host:port` of one vLLM endpoint, unique in a gateway. */
export type PodId = string & { readonly PodId: unique symbol }

/** Where a pod is reached and what an operator said about it. */
export interface PodAddress {
  readonly id: PodId
  readonly hostname: string
  readonly port: number
  readonly tls: boolean
  /** Name of an engine-constants preset, when the operator gave one for this pod. */
  readonly preset?: string | undefined
  /** `namespace/name` of the Kubernetes pod, where discovery knows it. */
  readonly name?: string | undefined
  /** What discovery says of it, such as `llm-d.ai/role`; undefined where it says nothing. */
  readonly labels?: PodLabels | undefined
  /** Data-parallel rank: which of the pod's ports this one is, from 0. */
  readonly rank?: number | undefined
}

export type PodLabels = Readonly<Record<string, string>>

/**
 * Reads `http://10.0.0.7:8000`. A path, query or user info is refused, since a pod is an origin.
 * Returns the reason as text when the URL can't name a pod.
 */
export const podAddressFromUrl = (text: string, preset?: string): PodAddress | string => {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    return `"${text}" is not a URL; write it as http://host:port`
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    return `"${text}" has the scheme ${url.protocol} but a pod speaks http: or https:`
  }
  if (url.username !== "" || url.password !== "") return `"${text}" carries credentials; a pod URL is only an origin`
  if ((url.pathname !== "/" && url.pathname !== "") || url.search !== "" || url.hash !== "") {
    return `"${text}" has a path or query; a pod URL is only an origin such as ${url.origin}`
  }
  const tls = url.protocol === "https:"
  const port = url.port === "" ? (tls ? 443 : 80) : Number(url.port)
  const hostname = url.hostname.startsWith("[") ? url.hostname.slice(1, -1) : url.hostname
  return podAddress(hostname, port, tls, preset)
}

/** `hostname` without brackets; IPv6 gets them in the id. */
export const podAddress = (hostname: string, port: number, tls: boolean, preset?: string): PodAddress => ({
  id: (hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`) as PodId,
  hostname,
  port,
  tls,
  preset
})

/** The origin to print and to send requests to. */
export const podUrl = (address: PodAddress): string => `${address.tls ? "https" : "http"}://${address.id}`

/** True when both say the same; order does not count. */
export const samePodLabels = (one: PodLabels | undefined, other: PodLabels | undefined): boolean => {
  if (one === other) return true
  const names = Object.keys(one ?? {})
  return names.length === Object.keys(other ?? {}).length && names.every((name) => one?.[name] === other?.[name])
}
