import { Console, Duration, Effect } from "effect"
import type { GatewayConfig } from "../../config/GatewayConfig.ts"
import { kubernetesText } from "../../config/kubernetesSource.ts"
import { loadConfig } from "../../config/loadConfig.ts"
import { readSecrets } from "../../config/secretFiles.ts"
import { timeoutOf } from "../../config/waitingSection.ts"
import { counted } from "../core/counted.ts"
import { type PodAddress, podUrl } from "../core/Pod.ts"
import type { PodAccess } from "../core/PodAccess.ts"
import { PodCredentials } from "../http/doors/PodCredentials.ts"
import { makePodProbe } from "../vllm/PodProbe.ts"
import { CommandFailure } from "./failure.ts"
import { llmdText } from "./llmdText.ts"

/** Pods asked at once. */
const ASKED_AT_ONCE = 32

/** Decodes the file as `serve` would and says what it would do. Fails only when the file is wrong, not for silent pods. */
export const check = (path: string, offline: boolean): Effect.Effect<void, CommandFailure> =>
  Effect.gen(function*() {
    const { config, llmd, warnings } = yield* loadConfig({
      flags: {},
      environment: process.env,
      configPath: path,
      configPathFrom: "FILE"
    }).pipe(Effect.mapError((error) => new CommandFailure({ message: error.render() })))
    const translation = llmd === undefined ? [] : [llmdText(llmd), "", "As settings of the gateway:", ""]
    yield* Console.log([`${path} is right.`, "", ...translation, ...summary(config)].join("\n"))
    yield* Effect.forEach(warnings, (warning) => Console.error(`warning: ${warning}`), { discard: true })
    if (offline) return
    const access = yield* podAccess(config)
    const silent = yield* Effect.forEach(config.pods, askPod(Duration.toMillis(config.scrape.timeout), access), {
      concurrency: ASKED_AT_ONCE
    })
    yield* Effect.forEach(silent.flat(), (line) => Console.error(`warning: ${line}`), { discard: true })
  })

/** Undefined, with a warning, when a file of keys, tokens or certificates is not as it must be. */
const podAccess = (config: GatewayConfig): Effect.Effect<PodAccess | undefined> =>
  Effect.tryPromise({
    try: () => readSecrets(config, process.env),
    catch: (cause) => cause instanceof Error ? cause.message : String(cause)
  }).pipe(
    Effect.map(({ pods }): PodAccess | undefined => new PodCredentials(pods)),
    Effect.catchAll((why) => Effect.as(Console.error(`warning: serve would not start: ${why}`), undefined))
  )

/** What is wrong with the pod, if anything. */
const askPod =
  (timeoutMs: number, access: PodAccess | undefined) => (pod: PodAddress): Effect.Effect<ReadonlyArray<string>> =>
    Effect.tryPromise({
      try: () => makePodProbe({ access }).metrics(pod, timeoutMs),
      catch: (cause) => cause instanceof Error ? cause.message : String(cause)
    }).pipe(
      Effect.as([]),
      Effect.catchAll((why) => Effect.succeed([`${podUrl(pod)} does not answer as a vLLM pod now: ${why}`]))
    )

const summary = (config: GatewayConfig): ReadonlyArray<string> => {
  const { admin, discovery, extproc, hardware, limits, listen, models, policy, scrape, snapshot, waiting } = config
  const aliases = Object.entries(models.aliases).map(([alias, model]) => `${alias} = ${model}`)
  return [
    `  listen     ${listen.hostname}:${listen.port}`,
    `  operators  ${admin.enabled ? `${admin.hostname}:${admin.port}` : "off"}`,
    ...(extproc.listen === undefined
      ? []
      : [`  picker     ${extproc.listen.hostname}:${extproc.listen.port}, tls ${extproc.tls}`]),
    ...podText(config),
    ...(discovery.file === undefined ? [] : [`  pods       from the file ${discovery.file.path}`]),
    ...(discovery.dns === undefined ? [] : [`  pods       from the DNS name ${discovery.dns.name}`]),
    ...(discovery.kubernetes === undefined ? [] : [`  pods       from ${kubernetesText(discovery.kubernetes)}`]),
    `  policy     ${policyText(policy)}`,
    `  hardware   ${hardware.preset}, ${hardware.constants.kvCapacityTokens} KV tokens until a pod reports its own`,
    `  scrape     every ${Duration.format(scrape.interval)}, unhealthy after ${
      counted(scrape.failuresBeforeUnhealthy, "failure")
    }`,
    `  waiting    ${
      waiting.enabled
        ? `${counted(waiting.requestsMax, "request")}, ${
          Duration.format(timeoutOf(waiting))
        } at most, while every pod is busy`
        : "off: requests go to a pod at once"
    }`,
    ...(aliases.length === 0 ? [] : [`  aliases    ${aliases.join(", ")}`]),
    `  limits     ${counted(limits.openRequestsMax, "open request")}, bodies of ${limits.bodyBytesMax} bytes, ` +
    `${counted(limits.podsMax, "pod")}, ${limits.retriesMax} ${limits.retriesMax === 1 ? "retry" : "retries"}`,
    `  snapshot   ${snapshot.enabled ? `${snapshot.path}, every ${Duration.format(snapshot.interval)}` : "off"}`
  ]
}

const podText = ({ discovery, emulator, pods }: GatewayConfig): ReadonlyArray<string> => {
  if (pods.length > 0) {
    return pods.map((pod, index) => `  ${index === 0 ? "pods     " : "         "}  ${podUrl(pod)}${presetText(pod)}`)
  }
  return discovery.file === undefined && discovery.dns === undefined && discovery.kubernetes === undefined
    ? [`  pods       none configured: serve starts ${emulator.pods} emulated ones (${emulator.hardware})`]
    : []
}

const presetText = ({ preset }: PodAddress): string => preset === undefined ? "" : ` (${preset})`

const policyText = (policy: GatewayConfig["policy"]): string => {
  if (!("scorers" in policy)) {
    return policy.parameters === undefined ? policy.type : `${policy.type} ${JSON.stringify(policy.parameters)}`
  }
  const filters = policy.filters.map((filter) => `${filter.type} > `)
  const scorers = policy.scorers.map((scorer) => `${scorer.weight} x ${scorer.type}`)
  return `${policy.type}: ${filters.join("")}${scorers.join(" + ")} > ${policy.picker.type}`
}
