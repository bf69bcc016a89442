import { Schema } from "effect"
import { perhaps } from "../schemaParts.ts"
import { formerly, ignored, type LlmdPlugin, llmdPlugin, producerName } from "./LlmdPlugin.ts"

const anything = Schema.Record({ key: Schema.String, value: Schema.Unknown })
const optionalInt = perhaps(Schema.Int)

const must = <A extends string | number | boolean>(value: A, why: string) =>
  perhaps(Schema.Literal(value).annotations({ message: () => `must be ${String(value)}: ${why}` }))

const tokenProducer = llmdPlugin("token-producer", ["producer"], anything, () => ({
  support: "not needed",
  note: "prompts are hashed as text; a model's bytes per token are learned from the pods' own counts"
}))

/** Where the data comes from that filters and scorers read. */
export const producers: ReadonlyArray<LlmdPlugin> = [
  tokenProducer,
  formerly("tokenizer", tokenProducer),
  llmdPlugin(
    "approx-prefix-cache-producer",
    ["producer"],
    Schema.Struct({
      autoTune: perhaps(Schema.Boolean),
      blockSizeTokens: optionalInt,
      blockSize: optionalInt,
      maxPrefixBlocksToMatch: optionalInt,
      maxPrefixTokensToMatch: optionalInt,
      lruCapacityPerServer: optionalInt
    }),
    () => ({
      support: "equivalent",
      note: "the pods' sketches: their own block size and capacity, whole prompts; limits in parameters are not read"
    })
  ),
  llmdPlugin("precise-prefix-cache-producer", ["producer", "extractor"], anything, () => ({
    support: "equivalent",
    note: "the pods' sketches, which follow vLLM's own block manager; KV events are not read"
  })),
  llmdPlugin(
    "inflight-load-producer",
    ["producer"],
    Schema.Struct({
      addEstimatedOutputTokens: must(false, "only prompt tokens count as load; marginal-cost prices the output too"),
      outputRatio: ignored,
      maxEstimatedOutputTokens: ignored,
      prefixMatchInfoProducerName: producerName,
      syncCrossReplicaState: must(false, "gateways share no state")
    }),
    () => ({
      support: "supported",
      note: "own reservations: uncached prompt tokens until the first token, requests until the end"
    })
  ),
  llmdPlugin(
    "session-id-producer",
    ["producer"],
    Schema.Struct({ headerName: perhaps(Schema.String), cookieName: perhaps(Schema.String) }).pipe(
      Schema.filter(({ cookieName, headerName }) =>
        (cookieName === undefined) !== (headerName === undefined) || "must have one of headerName and cookieName"
      )
    ),
    () => ({ support: "supported", note: "read by session affinity that names it as a source" })
  ),
  llmdPlugin(
    "agent-identity",
    ["producer"],
    Schema.Struct({ additionalSessionHeaders: perhaps(Schema.Array(Schema.String)) }),
    () => ({
      support: "equivalent",
      note: "its headers name a session where session affinity asks for them; flows go by x-llm-d-inference-fairness-id"
    })
  )
]
