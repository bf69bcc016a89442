import { Context, type Effect } from "effect"
import type { ConfigError } from "./ConfigError.ts"
import type { GatewayConfig } from "./GatewayConfig.ts"

interface ReadConfig {
  readonly config: GatewayConfig
  readonly warnings: ReadonlyArray<string>
}

/** Where a running gateway reads its configuration again. Without this service it can't be reloaded. */
export class ConfigReader extends Context.Tag("warmroute/ConfigReader")<ConfigReader, {
  /** Reads and checks all sources anew. */
  readonly read: Effect.Effect<ReadConfig, ConfigError>
  /** The file whose changes bring a reload; undefined: none. */
  readonly path: string | undefined
}>() {}
