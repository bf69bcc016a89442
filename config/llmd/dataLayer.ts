import { Schema } from "effect"
import { perhaps } from "../schemaParts.ts"
import { GoDuration } from "./kubernetesText.ts"
import { ignored, type LlmdPlugin, llmdPlugin } from "./LlmdPlugin.ts"

const none = Schema.Struct({})

const only = <const A extends string>(value: A, why: string) =>
  perhaps(Schema.Literal(value).annotations({ message: () => `must be ${JSON.stringify(value)}: ${why}` }))

/** How the pods are asked; each has the same way for all that is asked. */
const HttpSource = {
  scheme: perhaps(Schema.Literal("http", "https")),
  insecureSkipVerify: ignored,
  caCertPath: ignored,
  clientCertPath: ignored,
  clientKeyPath: ignored
}

const podsAreFollowed = () => ({ support: "not needed" as const, note: "discovery follows the pods" })

/** Sources, extractors and discovery. */
export const dataLayer: ReadonlyArray<LlmdPlugin> = [
  llmdPlugin(
    "metrics-data-source",
    ["source"],
    Schema.Struct({
      ...HttpSource,
      path: only("/metrics", "pods are vLLM's, whose page is there"),
      port: perhaps(Schema.Never.annotations({
        message: () => "is not taken: metrics are asked where requests go"
      })),
      interval: perhaps(GoDuration)
    }),
    ({ interval }) => ({
      support: "supported",
      note: interval === undefined
        ? "scraped each second: load is counted at the pick, so no 50 ms are needed; TLS by podAccess"
        : "scraped so often; TLS by podAccess",
      ...(interval === undefined || interval === 0
        ? {}
        : { settings: { scrape: { interval: `${interval * 1000} millis` } } })
    })
  ),
  llmdPlugin(
    "core-metrics-extractor",
    ["extractor"],
    Schema.Struct({
      engineLabelKey: perhaps(Schema.String),
      defaultEngine: only("vllm", "pods of other engines are not understood"),
      engineConfigs: perhaps(
        Schema.Tuple().annotations({
          message: () => "is not taken: vLLM's own metrics are read, under their own names"
        })
      )
    }),
    () => ({ support: "supported", note: "vLLM's queue, batch, KV usage, block size and count, LoRA adapters" })
  ),
  llmdPlugin(
    "models-data-source",
    ["source"],
    Schema.Struct({ ...HttpSource, path: only("/v1/models", "it is vLLM's"), interval: perhaps(GoDuration) }),
    () => ({ support: "not needed", note: "the pods' models are asked anyway" })
  ),
  llmdPlugin("models-data-extractor", ["extractor"], none, () => ({
    support: "not needed",
    note: "a request goes only to pods that serve its model"
  })),
  llmdPlugin("endpoint-notification-source", ["source"], none, podsAreFollowed),
  llmdPlugin(
    "k8s-notification-source",
    ["source"],
    Schema.Record({ key: Schema.String, value: Schema.Unknown }),
    podsAreFollowed
  ),
  llmdPlugin("topology-extractor", ["extractor"], Schema.Record({ key: Schema.String, value: Schema.Unknown }), () => ({
    support: "not needed",
    note: "topology counts between the pods of a disaggregated request only"
  })),
  llmdPlugin(
    "file-discovery",
    ["discovery"],
    Schema.Struct({ path: Schema.NonEmptyString, watchFile: perhaps(Schema.Boolean) }),
    ({ path }) => ({
      support: "supported",
      note: `same file, ${path}; it is followed in any case`,
      settings: { discovery: { file: { path } } }
    })
  )
]
