import { Context, Duration, Effect, Layer } from "effect"
import type { Discovery } from "../../src/discovery/Discovery.ts"
import { dnsDiscovery } from "../../src/discovery/dns.ts"
import { fileDiscovery } from "../../src/discovery/file.ts"
import { staticDiscovery } from "../../src/discovery/static.ts"
import { GatewayConfig } from "../GatewayConfig.ts"

/** Where pods come from; the pool serves the union, and of two that name the same pod the earlier one counts. */
export class PodSources extends Context.Tag("warmroute/PodSources")<PodSources, ReadonlyArray<Discovery>>() {}

/** The sources that the configuration names: its own list, a file, a DNS name. */
export const layer: Layer.Layer<PodSources, never, GatewayConfig> = Layer.effect(
  PodSources,
  Effect.map(GatewayConfig, ({ discovery: { dns, file }, limits: { podsMax }, pods }) => {
    const sources: Array<Discovery> = [staticDiscovery(pods)]
    if (file !== undefined) {
      sources.push(fileDiscovery({ path: file.path, pollMs: Duration.toMillis(file.poll), podsMax }))
    }
    if (dns !== undefined) {
      const { interval, name, port, tls } = dns
      const question = port === undefined ? { name, srv: true as const } : { name, port }
      sources.push(dnsDiscovery({ ...question, tls, intervalMs: Duration.toMillis(interval), podsMax }))
    }
    return sources
  })
)
