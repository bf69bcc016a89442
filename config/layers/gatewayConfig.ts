import { Effect, Layer } from "effect"
import type { ConfigError } from "../ConfigError.ts"
import { decodeConfig } from "../decodeConfig.ts"
import { GatewayConfig, type GatewayConfigInput } from "../GatewayConfig.ts"
import { type ConfigSources, loadConfig } from "../loadConfig.ts"

/** The configuration as a program writes it, in the words of the YAML; what is left out has its default. */
export const layer = (input: GatewayConfigInput): Layer.Layer<GatewayConfig, ConfigError> =>
  Layer.effect(GatewayConfig, decodeConfig([{ name: "GatewayConfig", values: { ...input } }]))

/** The configuration of a YAML file alone. */
export const layerFile = (path: string): Layer.Layer<GatewayConfig, ConfigError> =>
  layerFromSources({ flags: {}, environment: {}, configPath: path })

/** The configuration as `warmroute serve` reads it: flags over environment over file. */
export const layerFromSources = (sources: ConfigSources): Layer.Layer<GatewayConfig, ConfigError> =>
  Layer.effect(GatewayConfig, Effect.map(loadConfig(sources), ({ config }) => config))
