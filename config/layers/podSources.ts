import { Context, Duration, Effect, Layer } from "effect"
import type { Discovery } from "../../src/discovery/Discovery.ts"
import { dnsDiscovery } from "../../src/discovery/dns.ts"
import { fileDiscovery } from "../../src/discovery/file.ts"
import { staticDiscovery } from "../../src/discovery/static.ts"
import { PoolRules } from "../../src/core/PoolRules.ts"
import { GatewayConfig } from "../GatewayConfig.ts"
import { kubernetesSource } from "../kubernetesSource.ts"
import { ClusterRules } from "./clusterRules.ts"
import * as clusterRules from "./clusterRules.ts"

/** Where pods come from; the pool serves the union, and of two that name the same pod the earlier one counts. */
export class PodSources extends Context.Tag("warmroute/PodSources")<PodSources, ReadonlyArray<Discovery>>() {}

/** A source with what the configuration says of it. */
interface NamedSource {
  readonly said: unknown
  readonly source: Discovery
}

/** Its own list, a file, a DNS name, a cluster, which writes to `rules`. */
const namedSources = (
  { discovery: { dns, file, kubernetes }, limits: { podsMax }, pods }: GatewayConfig,
  rules: PoolRules
): ReadonlyArray<NamedSource> => {
  const sources: Array<NamedSource> = [{ said: pods, source: staticDiscovery(pods) }]
  if (file !== undefined) {
    const source = fileDiscovery({ path: file.path, pollMs: Duration.toMillis(file.poll), podsMax })
    sources.push({ said: file, source })
  }
  if (dns !== undefined) {
    const { interval, name, port, tls } = dns
    const question = port === undefined ? { name, srv: true as const } : { name, port }
    const source = dnsDiscovery({ ...question, tls, intervalMs: Duration.toMillis(interval), podsMax })
    sources.push({ said: dns, source })
  }
  if (kubernetes !== undefined) sources.push({ said: kubernetes, source: kubernetesSource(kubernetes, rules) })
  return sources
}

/** The sources of `after`; those of which the configuration says what it said before are the same as before. */
export const sourcesAfter = (
  sources: ReadonlyArray<Discovery>,
  before: GatewayConfig,
  after: GatewayConfig
): ReadonlyArray<Discovery> => {
  // A reload leaves the cluster as it was at the start, so the source made here is never followed.
  const unused = new PoolRules()
  const were = namedSources(before, unused)
  return namedSources(after, unused).map(({ said, source }) => {
    const same = were.some((was) => was.source.name === source.name && Bun.deepEquals(was.said, said, true))
    return (same ? sources.find(({ name }) => name === source.name) : undefined) ?? source
  })
}

/** The sources that the configuration names. */
export const layer: Layer.Layer<PodSources, never, GatewayConfig> = Layer.effect(
  PodSources,
  Effect.zipWith(
    GatewayConfig,
    ClusterRules,
    (config, rules) => namedSources(config, rules).map(({ source }) => source)
  )
).pipe(Layer.provide(clusterRules.layer))
