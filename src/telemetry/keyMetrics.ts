import type { MetricRegistry } from "./MetricRegistry.ts"

/** What one key has used. */
interface KeyUse {
  readonly name: string
  readonly open: number
  readonly admitted: number
  readonly refused: number
  readonly tokens: number
}

interface Keys {
  readonly holders: () => Iterable<KeyUse>
  readonly refusals: Readonly<Record<string, number>>
}

/** Names of keys, never keys; a key that is taken away takes its series along. */
export const watchKeys = (registry: MetricRegistry, keys: Keys): void => {
  const each = (name: string, help: string, type: "counter" | "gauge", read: (use: KeyUse) => number) =>
    registry.collected(name, help, type, ["key"], (emit) => {
      for (const use of keys.holders()) emit([use.name], read(use))
    })
  each("warmroute_key_requests_total", "Requests that came in by a key.", "counter", (use) => use.admitted)
  each("warmroute_key_refused_total", "Requests refused for a key's limits or models.", "counter", (use) => use.refused)
  each("warmroute_key_tokens_total", "Prompt and output tokens used by a key.", "counter", (use) => use.tokens)
  each("warmroute_key_open_requests", "Open requests of a key.", "gauge", (use) => use.open)
  const help = "Requests without a good key."
  registry.collected("warmroute_unauthorized_total", help, "counter", ["reason"], (emit) => {
    for (const [reason, count] of Object.entries(keys.refusals)) emit([reason], count)
  })
}
