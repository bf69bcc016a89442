import { Effect, Exit, Scope } from "effect"
import type { ConfigReader } from "../../config/ConfigReader.ts"
import { decodeConfig } from "../../config/decodeConfig.ts"
import { type GatewayHandle, startGateway } from "../../config/Gateway.ts"
import { loadConfig } from "../../config/loadConfig.ts"
import { layer as logLayer } from "../../config/layers/log.ts"
import { eventually } from "./eventually.ts"

export interface TestGatewayOptions {
  readonly pods?: ReadonlyArray<string>
  /** A watched file of pods. */
  readonly podsFile?: string
  /** File of the snapshot; none: nothing is kept. */
  readonly snapshot?: string
  /** Default: the gateway's own. */
  readonly policy?: string
  /** A YAML file in place of all the other options; the gateway follows it. */
  readonly configPath?: string
  /** Further sections of the configuration, as an operator writes them. */
  readonly config?: Readonly<Record<string, unknown>>
}

/** A whole gateway on a port of its own, in this process. */
export interface TestGateway {
  readonly url: string
  readonly port: number
  readonly handle: GatewayHandle
  /** Waits until exactly so many pods are healthy and take requests. */
  readonly healthyPods: (count: number) => Promise<void>
  /** Waits until no request holds a reservation. */
  readonly becomesIdle: () => Promise<void>
  readonly stop: () => Promise<void>
}

const configOf = (options: TestGatewayOptions): Record<string, unknown> => ({
  listen: { hostname: "127.0.0.1", port: 0 },
  admin: { port: 0 },
  pods: options.pods ?? [],
  scrape: { interval: "100 millis" },
  log: { level: "none" },
  snapshot: options.snapshot === undefined ? { enabled: false } : { path: options.snapshot },
  ...(options.podsFile === undefined ? {} : { discovery: { file: { path: options.podsFile, poll: "100 millis" } } }),
  ...(options.policy === undefined ? {} : { policy: { type: options.policy } }),
  ...options.config
})

/** Starts it and returns once it listens; a wrong configuration or a failed start throws. */
export const startTestGateway = async (options: TestGatewayOptions): Promise<TestGateway> => {
  const read: ConfigReader["Type"]["read"] = options.configPath === undefined
    ? Effect.map(decodeConfig([{ name: "test", values: configOf(options) }]), (config) => ({ config, warnings: [] }))
    : loadConfig({ flags: {}, environment: {}, configPath: options.configPath })
  const { config } = await Effect.runPromise(read)
  const scope = await Effect.runPromise(Scope.make())
  const handle = await Effect.runPromise(
    startGateway(config, { path: options.configPath, read }).pipe(
      Effect.provide(logLayer(config.log)),
      Scope.extend(scope)
    )
  )
  const healthy = (): number => handle.poolView.pods().filter((pod) => pod.health === "healthy").length
  return {
    url: handle.url,
    port: handle.port,
    handle,
    healthyPods: (count) => eventually(`${count} healthy pods`, () => healthy() === count),
    becomesIdle: () => eventually("no request in flight", () => handle.openRequests() === 0),
    stop: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}
