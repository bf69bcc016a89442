import { Effect } from "effect"
import { Resolver } from "node:dns/promises"
import { type PodAddress, podAddress } from "../core/Pod.ts"
import type { Discovery } from "./Discovery.ts"
import { faultOfList, lastGood, pulses } from "./lastGood.ts"

/** What is asked for, and where. */
export type DnsQuestion =
  & {
    /** Fully qualified, such as `vllm-headless.default.svc.cluster.local`: search domains are not tried. */
    readonly name: string
  }
  /** A or AAAA records and one port for all pods, or SRV records that tell the port. */
  & ({ readonly port: number } | { readonly srv: true })

export interface DnsDiscoveryOptions {
  readonly tls: boolean
  readonly intervalMs: number
  readonly timeoutMs: number
  readonly podsMax: number
  /** `host:port` of the name servers to ask; the system's when empty. */
  readonly servers: ReadonlyArray<string>
}

const dnsDiscoveryDefaults: DnsDiscoveryOptions = {
  tls: false,
  intervalMs: 10_000,
  timeoutMs: 3000,
  podsMax: 4096,
  servers: []
}

const isHostName = (text: string): boolean => /^[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/.test(text)

const isNotFound = (cause: unknown): boolean => {
  const { code } = cause as NodeJS.ErrnoException
  return code === "ENOTFOUND" || code === "ENODATA"
}

const lookUp = async (
  resolver: Resolver,
  options: DnsQuestion & DnsDiscoveryOptions
): Promise<ReadonlyArray<PodAddress>> => {
  const { name, tls } = options
  if ("srv" in options) {
    const answers = await resolver.resolveSrv(name)
    return answers.map((answer) => {
      const target = answer.name.replace(/\.$/, "")
      if (!isHostName(target)) throw new Error(`the SRV record names "${target.slice(0, 80)}", which is no host name`)
      if (answer.port === 0) throw new Error(`the SRV record of ${target} has the port 0`)
      return podAddress(target, answer.port, tls)
    })
  }
  // A pod with both families must not count twice, so AAAA counts only where no A is.
  const hosts = await resolver.resolve4(name).catch((cause: unknown) => {
    if (!isNotFound(cause)) throw cause
    return resolver.resolve6(name)
  })
  return hosts.map((host) => podAddress(host, options.port, tls))
}

const whyUnanswered = (cause: unknown): string => {
  if (isNotFound(cause)) return "the name does not exist or has no such records"
  const { code, message } = cause as NodeJS.ErrnoException
  if (code === "ESERVFAIL") return "the name server failed (SERVFAIL)"
  if (code === "EREFUSED" || code === "ECONNREFUSED") return "the name server refused"
  if (code === "ETIMEOUT" || code === "ECANCELLED") return "the name server did not answer in time"
  if (code === "EBADRESP" || code === "EFORMERR") return "the name server's answer can't be read"
  return message
}

/** In order of id and without the duplicates that a name server may send. */
const ordered = (pods: ReadonlyArray<PodAddress>): ReadonlyArray<PodAddress> => {
  const byId = new Map(pods.map((pod) => [pod.id, pod]))
  return [...byId.values()].sort((one, other) => one.id < other.id ? -1 : 1)
}

const readPods = (options: DnsQuestion & DnsDiscoveryOptions): Effect.Effect<ReadonlyArray<PodAddress>, string> =>
  Effect.gen(function*() {
    const resolver = new Resolver()
    if (options.servers.length > 0) resolver.setServers(options.servers)
    const answer = yield* Effect.tryPromise({ try: () => lookUp(resolver, options), catch: whyUnanswered }).pipe(
      Effect.timeoutFail({
        duration: options.timeoutMs,
        onTimeout: () => `the name server did not answer within ${options.timeoutMs} ms`
      }),
      Effect.ensuring(Effect.sync(() => resolver.cancel()))
    )
    const pods = ordered(answer)
    const fault = faultOfList(pods, options.podsMax)
    return fault === undefined ? pods : yield* Effect.fail(fault)
  })

/**
 * Pods from DNS, asked every `intervalMs`: a headless service's A or AAAA records with one port, or SRV records
 * whatever their priority and weight. A name that vanishes or loses its last record is a fault, so the last good list
 * stands: Bun's resolver can't tell the two apart, and pods that are gone show by their health.
 */
export const dnsDiscovery = (given: DnsQuestion & Partial<DnsDiscoveryOptions>): Discovery => {
  const options = { ...dnsDiscoveryDefaults, ...given }
  return {
    name: `dns ${options.name}`,
    addresses: lastGood(options.name, pulses(options.intervalMs), readPods(options))
  }
}
