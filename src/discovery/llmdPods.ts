import { type PodAddress, podAddress } from "../core/Pod.ts"

/** What a file lists. */
export interface FilePods {
  readonly pods: ReadonlyArray<PodAddress>
  /** Entries that were left out, each with its reason. */
  readonly skipped: ReadonlyArray<string>
}

interface Named {
  readonly name: string
  readonly pod: PodAddress
}

const isHost = (text: string): boolean =>
  /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$|^[0-9A-Fa-f:.]{2,45}$/.test(text)

/** The labels, or the reason why they are none. */
const labelsOf = (given: unknown): Readonly<Record<string, string>> | string => {
  if (given === undefined || given === null) return {}
  if (typeof given !== "object" || Array.isArray(given)) return "labels is not a map of names to text"
  const stranger = Object.entries(given).find(([, value]) => typeof value !== "string")
  return stranger === undefined ? Object.fromEntries(Object.entries(given)) : `the label ${stranger[0]} is not text`
}

const readEntry = (entry: unknown): Named | string => {
  if (typeof entry !== "object" || entry === null || Array.isArray(entry)) {
    return "is not a map with name, address, port"
  }
  const { address, labels, name, namespace, port } = Object.fromEntries(Object.entries(entry))
  if (typeof name !== "string" || name === "") return "name is missing or not text"
  if (namespace !== undefined && typeof namespace !== "string") return "namespace is not text"
  if (typeof address !== "string" || !isHost(address)) return "address is neither an IP address nor a host name"
  const number = typeof port === "number" ? port : typeof port === "string" && /^\d{1,5}$/.test(port) ? Number(port) : 0
  if (!Number.isInteger(number) || number < 1 || number > 65_535) return "port is not a number from 1 to 65535"
  const said = labelsOf(labels)
  if (typeof said === "string") return said
  const fullName = `${namespace === undefined || namespace === "" ? "default" : namespace}/${name}`
  return { name: fullName, pod: { ...podAddress(address, number, false), name: fullName, labels: said } }
}

/**
 * The list below `endpoints:` of llm-d's `file-discovery`: `name`, `namespace`, `address`, `port` (text or number) and
 * `labels`. As there, a bad entry is left out with a reason, a later one of the same name counts, and unknown keys are
 * passed over. Host names and IPv6 are taken too.
 */
export const llmdPods = (entries: ReadonlyArray<unknown>): FilePods => {
  const byName = new Map<string, PodAddress>()
  const skipped: Array<string> = []
  for (const [index, entry] of entries.entries()) {
    const read = readEntry(entry)
    if (typeof read === "string") skipped.push(`entry ${index + 1}: ${read}`)
    else byName.set(read.name, read.pod)
  }
  const byId = new Map<string, PodAddress>()
  for (const pod of byName.values()) {
    const earlier = byId.get(pod.id)
    if (earlier === undefined) byId.set(pod.id, pod)
    else skipped.push(`${pod.name} has the address of ${earlier.name}, ${pod.id}`)
  }
  return { pods: [...byId.values()], skipped }
}
