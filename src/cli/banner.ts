import { Effect, Schedule } from "effect"
import packageJson from "../../package.json" with { type: "json" }
import type { PodStatus } from "../../actors/PoolView.ts"
import type { GatewayHandle } from "../../config/Gateway.ts"
import type { GatewayConfig } from "../../config/GatewayConfig.ts"
import { asksForKeys, isOpenToAll } from "../../config/isOpenToAll.ts"
import { kubernetesText } from "../../config/kubernetesSource.ts"
import { podUrl } from "../core/Pod.ts"

/** More pods than this are counted, not listed. */
const LISTED_MAX = 16
const LOOK_EVERY_MS = 50
/** After this long without a healthy pod the banner says so and stops looking; the log goes on. */
const PATIENCE_MS = 15_000

/** What an operator sees first: where it listens and what it was told. */
export const startText = (config: GatewayConfig, gateway: GatewayHandle, emulated: boolean): string =>
  [
    `warmroute ${packageJson.version} listens on ${reachableUrl(config, gateway)}${interfaces(config, gateway)}`,
    "",
    ...podLines(config, emulated),
    `  policy    ${config.policy.type}, engine constants ${config.hardware.preset}`,
    ...(gateway.picker === undefined ? [] : [`  Envoy     asks for pods on port ${gateway.picker.port}`]),
    `  operators ${
      gateway.adminUrl === undefined ? "off" : `warmroute explain --admin ${gateway.adminUrl} --prompt "Hello!"`
    }`,
    `  snapshot  ${snapshotText(config, gateway, emulated)}`,
    `  keys      ${keysText(config)}`,
    ""
  ].join("\n")

const keysText = (config: GatewayConfig): string => {
  if (isOpenToAll(config)) {
    return "NONE: anybody who can reach this machine can use it; set auth.keys, or say --insecure if that is meant"
  }
  const { keys, keysPath } = config.auth
  if (keysPath !== undefined) return `those in ${keysPath}${keys.length === 0 ? "" : ` and ${keys.length} more`}`
  return keys.length === 0 ? "none are asked for" : `${keys.length} configured`
}

/** A URL that works when pasted: nobody can connect to 0.0.0.0 everywhere. */
const reachableUrl = ({ listen }: GatewayConfig, { port }: GatewayHandle): string => {
  const scheme = listen.tls === undefined ? "http" : "https"
  if (isEveryInterface(listen.hostname)) return `${scheme}://localhost:${port}`
  return `${scheme}://${listen.hostname.includes(":") ? `[${listen.hostname}]` : listen.hostname}:${port}`
}

const isEveryInterface = (hostname: string): boolean => hostname === "0.0.0.0" || hostname === "::"

const interfaces = ({ listen }: GatewayConfig, { port }: GatewayHandle): string =>
  isEveryInterface(listen.hostname)
    ? ` (every interface; --listen 127.0.0.1:${port} keeps it to this machine)`
    : ""

const podLines = ({ discovery, emulator, pods }: GatewayConfig, emulated: boolean): ReadonlyArray<string> => {
  const lines: Array<string> = []
  if (emulated) {
    lines.push(
      `  pods      ${pods.length} EMULATED vLLM pods, because none is configured: they answer with made-up text,`,
      `            at ${emulator.speed} times the speed of the hardware preset ${emulator.hardware}`
    )
  } else if (pods.length > 0) lines.push(`  pods      ${pods.length} configured`)
  if (pods.length <= LISTED_MAX) lines.push(...pods.map((pod) => `            ${podUrl(pod)}`))
  if (discovery.file !== undefined) lines.push(`  pods      from the file ${discovery.file.path}`)
  if (discovery.dns !== undefined) lines.push(`  pods      from the DNS name ${discovery.dns.name}`)
  if (discovery.kubernetes !== undefined) lines.push(`  pods      from ${kubernetesText(discovery.kubernetes)}`)
  return lines
}

const snapshotText = ({ snapshot }: GatewayConfig, { restoredPods }: GatewayHandle, emulated: boolean): string => {
  if (emulated) return "off for emulated pods"
  if (!snapshot.enabled) return "off: every start is cold"
  return restoredPods === 0
    ? `cold start: nothing to restore from ${snapshot.path}`
    : `warm start: ${restoredPods} ${restoredPods === 1 ? "pod" : "pods"} restored from ${snapshot.path}`
}

/** Waits for the first healthy pods: then there is a command to paste that works, and how to reach real pods. */
export const announcePods = (config: GatewayConfig, gateway: GatewayHandle, emulated: boolean): Effect.Effect<string> =>
  Effect.gen(function*() {
    const wanted = config.pods.length
    yield* Effect.void.pipe(
      Effect.repeat({
        until: () => {
          const pods = gateway.poolView.pods()
          return healthy(pods) > 0 && healthy(pods) >= wanted
        },
        schedule: Schedule.spaced(LOOK_EVERY_MS)
      }),
      Effect.timeoutOption(PATIENCE_MS)
    )
    return readyText(config, gateway, emulated)
  })

const healthy = (pods: ReadonlyArray<PodStatus>): number => pods.filter((pod) => pod.health === "healthy").length

const readyText = (config: GatewayConfig, gateway: GatewayHandle, emulated: boolean): string => {
  const pods = gateway.poolView.pods()
  const models = gateway.poolView.models().map((card) => card.id)
  const sick = pods.filter((pod) => pod.health !== "healthy").slice(0, LISTED_MAX)
  return [
    pods.length === 0
      ? "no pod is known yet"
      : `${healthy(pods)} of ${pods.length} ${pods.length === 1 ? "pod is" : "pods are"} healthy${
        models.length === 0 ? "" : `; models: ${models.slice(0, LISTED_MAX).join(", ")}`
      }`,
    ...sick.map((pod) =>
      `  ${podUrl(pod.address)} is ${pod.health}${pod.reason === undefined ? "" : `: ${pod.reason}`}`
    ),
    ...(models[0] === undefined ? [] : tryText(config, reachableUrl(config, gateway), models[0])),
    ...(emulated ? realPodsText : []),
    ""
  ].join("\n")
}

const tryText = (config: GatewayConfig, url: string, model: string): ReadonlyArray<string> => [
  "",
  "Try it:",
  `  curl ${url}/v1/chat/completions \\`,
  `    -H 'content-type: application/json' \\`,
  ...(asksForKeys(config) ? ["    -H 'authorization: Bearer YOUR_KEY' \\"] : []),
  `    -d '${quoted(JSON.stringify({ model, messages: [{ role: "user", content: "Hello!" }], max_tokens: 32 }))}'`
]

/** Inside single quotes of a shell. */
const quoted = (text: string): string => text.replaceAll("'", `'\\''`)

const realPodsText: ReadonlyArray<string> = [
  "",
  "With your own vLLM pods:",
  "  npx bun start --pods http://10.0.0.7:8000,http://10.0.0.8:8000",
  "  WARMROUTE_PODS=http://10.0.0.7:8000,http://10.0.0.8:8000 npx bun start",
  "  npx bun start --config gateway.yaml     (config/examples/gateway.yaml shows every setting)"
]
