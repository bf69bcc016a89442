import { tmpdir } from "node:os"
import { Duration } from "effect"
import type { PoolRules } from "../../src/core/PoolRules.ts"
import type { WishRules } from "../../src/http/features/requestWish.ts"
import { frontDefaults, type FrontOptions, type FrontSettings } from "../../src/http/FrontOptions.ts"
import { upstreamDefaults, type UpstreamOptions } from "../../src/http/upstream/UpstreamOptions.ts"
import { sessionSourcesOf } from "../../src/policies/sessionSourcesOf.ts"
import type { GatewayConfig } from "../GatewayConfig.ts"
import { asksForKeys } from "../isOpenToAll.ts"
import { type Doors, hasPodTokens } from "./doors.ts"

/** What of the configuration the front takes while it serves. */
export const frontSettingsWith =
  ({ access, keys, sessionTokens }: Doors["Type"], rewrites: PoolRules, metricsText: () => string) =>
  (config: GatewayConfig): FrontSettings => {
    const hasKeys = asksForKeys(config)
    const { metrics } = config.listen
    return {
      options: {
        ...frontOptions(config),
        sessionTokens,
        rewrites,
        wishes: wishRules(config, rewrites),
        forwardCredentials: !hasKeys && !hasPodTokens(config)
      },
      upstream: { ...upstreamOptions(config), access },
      keys: hasKeys ? keys : undefined,
      metricsText: metrics === "always" || (metrics === "auto" && !hasKeys) ? metricsText : undefined
    }
  }

/** The operator's own objectives come before those of the cluster. */
const wishRules = ({ waiting }: GatewayConfig, cluster: Pick<PoolRules, "priorityOf">): WishRules => {
  const own = new Map(Object.entries(waiting.objectives))
  return {
    priorityOf: (objective) => own.get(objective) ?? cluster.priorityOf(objective),
    readsPriority: waiting.priorityHeader,
    readsFlow: waiting.flowHeader
  }
}

const frontOptions = ({ answers, breaker, limits, models, policy, rescue }: GatewayConfig): FrontOptions => ({
  ...frontDefaults,
  aliases: new Map(Object.entries(models.aliases)),
  exposePodHeader: answers.podHeader,
  sessionHeader: answers.sessionHeader,
  sessionSources: sessionSourcesOf(policy),
  retriesMax: limits.retriesMax,
  retryShare: limits.retryShare,
  retryBurst: limits.retryBurst,
  rescue,
  probeTimeoutMs: Duration.toMillis(breaker.probeTimeout),
  requestTimeoutMs: Duration.toMillis(limits.requestTimeout),
  bodyBytesMax: limits.bodyBytesMax,
  bodyReadTimeoutMs: Duration.toMillis(limits.bodyReadTimeout),
  requestBytesMax: limits.requestBytesMax,
  multipartBytesMax: limits.multipartBytesMax,
  multipartMemoryMax: limits.multipartMemoryMax,
  spooledBytesMax: limits.spooledBytesMax,
  spoolParent: tmpdir(),
  headersMax: limits.headersMax,
  headerBytesMax: limits.headerBytesMax,
  urlCharsMax: limits.urlCharsMax,
  jsonDepthMax: limits.jsonDepthMax,
  clientIdleTimeoutS: Math.ceil(Duration.toSeconds(limits.clientIdleTimeout)),
  clientStallTimeoutMs: Duration.toMillis(limits.clientStallTimeout),
  openRequestsMax: limits.openRequestsMax,
  learnedModelsMax: limits.modelsMax
})

const upstreamOptions = ({ limits, waiting }: GatewayConfig): UpstreamOptions => ({
  ...upstreamDefaults,
  connectionsMax: limits.connectionsPerPodMax,
  idleMax: limits.idleConnectionsPerPodMax,
  idleMaxMs: Duration.toMillis(limits.upstreamIdleMax),
  connectTimeoutMs: Duration.toMillis(limits.connectTimeout),
  firstByteTimeoutMs: Duration.toMillis(limits.firstByteTimeout),
  silenceTimeoutMs: Duration.toMillis(limits.silenceTimeout),
  lostPodGraceMs: Duration.toMillis(limits.lostPodGrace),
  // It would wait as long for a pod to come.
  lonePodGraceMs: Duration.toMillis(limits.lostPodGrace) + Duration.toMillis(waiting.podlessTimeout)
})
