import { Effect, Either } from "effect"
import type { GatewayConfig } from "../../config/GatewayConfig.ts"
import { type ConfigSources, loadConfig } from "../../config/loadConfig.ts"
import { decodeConfig } from "../../config/decodeConfig.ts"
import { yamlSource } from "../../config/yamlSource.ts"

/** What decoding the YAML says: the configuration, or the message that an operator reads. */
export const decodedYaml = (text: string): GatewayConfig | string =>
  Either.match(Either.flatMap(yamlSource("gateway.yaml", text), (source) => decodeConfig([source])), {
    onLeft: (error) => error.render(),
    onRight: (config) => config
  })

/** The message of YAML that is expected to be refused. */
export const refusedYaml = (text: string): string => {
  const decoded = decodedYaml(text)
  if (typeof decoded !== "string") throw new Error(`accepted: ${text}`)
  return decoded
}

export const acceptedYaml = (text: string): GatewayConfig => {
  const decoded = decodedYaml(text)
  if (typeof decoded === "string") throw new Error(decoded)
  return decoded
}

/** What loading says: the configuration with its warnings, or the message. */
export const loaded = (
  sources: Partial<ConfigSources>
): Promise<{ readonly config: GatewayConfig; readonly warnings: ReadonlyArray<string> } | string> =>
  Effect.runPromise(
    Effect.match(loadConfig({ flags: {}, environment: {}, configPath: undefined, ...sources }), {
      onFailure: (error) => error.render(),
      onSuccess: (value) => value
    })
  )
