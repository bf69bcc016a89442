import { Schema } from "effect"
import { perhaps } from "../schemaParts.ts"
import { ignored, type LlmdPlugin, llmdPlugin, type Slot } from "./LlmdPlugin.ts"

const anything = Schema.Record({ key: Schema.String, value: Schema.Unknown })
const none = Schema.Struct({})

const equivalent = (type: string, slot: Slot, note: string): LlmdPlugin =>
  llmdPlugin(type, [slot], none, () => ({ support: "equivalent", note }))

/** Parsers, and the policies of the queue. */
export const requests: ReadonlyArray<LlmdPlugin> = [
  equivalent("openai-parser", "parser", "OpenAI's routes are read anyway"),
  equivalent("anthropic-parser", "parser", "Anthropic's routes are read anyway"),
  equivalent("vllmhttp-parser", "parser", "vLLM's own routes are read anyway"),
  equivalent("passthrough-parser", "parser", "a route that the picker does not know goes to any pod, unread"),
  equivalent(
    "global-strict-fairness-policy",
    "fairness",
    "flows of a band share what it gets by prefill seconds; without fairness ids there is one flow"
  ),
  equivalent(
    "round-robin-fairness-policy",
    "fairness",
    "flows of a band take turns, by prefill seconds and not by requests"
  ),
  llmdPlugin(
    "program-aware-fairness",
    ["fairness"],
    anything,
    () => ({ support: "equivalent", note: "the flow that got least prefill time goes next; its weights are not read" })
  ),
  equivalent("fcfs-ordering-policy", "ordering", "shortest prefill first, aged so that nobody waits for long"),
  equivalent("edf-ordering-policy", "ordering", "as fcfs-ordering-policy: deadlines end a wait and do not order it"),
  llmdPlugin(
    "static-usage-limit-policy",
    ["usage-limit"],
    Schema.Struct({
      threshold: perhaps(
        Schema.Literal(1).annotations({ message: () => "must be 1: a pod has room or has none" })
      ),
      name: ignored
    }),
    () => ({ support: "equivalent", note: "a request goes on when a pod has room for it" })
  )
]
