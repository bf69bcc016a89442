import { Schema } from "effect"
import { isTree } from "../ConfigSource.ts"
import { perhaps, setting } from "../schemaParts.ts"
import { GoDuration, Quantity } from "./kubernetesText.ts"

const Name = Schema.NonEmptyString
const Reference = Schema.Struct({ pluginRef: Name })
const list = <A, I>(schema: Schema.Schema<A, I>) => setting(Schema.Array(schema), [])

const versions = [
  "llm-d.ai/v1alpha1",
  "llm-d.ai/v1",
  "inference.networking.x-k8s.io/v1alpha1"
] as const

const Band = Schema.Struct({
  priority: perhaps(Schema.Int),
  maxBytes: perhaps(Quantity),
  maxRequests: perhaps(Quantity),
  fairnessPolicyRef: perhaps(Name),
  orderingPolicyRef: perhaps(Name)
})

const FlowControl = Schema.Struct({
  maxBytes: perhaps(Quantity),
  maxRequests: perhaps(Quantity),
  defaultRequestTTL: perhaps(GoDuration),
  noEndpointRequestTTL: perhaps(GoDuration),
  defaultPriorityBand: perhaps(Band),
  defaultNegativePriorityBand: perhaps(Band),
  priorityBands: list(Band),
  usageLimitPolicyPluginRef: perhaps(Name),
  saturationDetector: perhaps(Schema.Struct({ pluginRef: perhaps(Name) })),
  enableEviction: perhaps(
    Schema.Literal(false).annotations({
      message: () => "must be false: running requests are never taken from a pod; give them a lower priority instead"
    })
  )
})
export type FlowControl = typeof FlowControl.Type

const DataLayer = Schema.Struct({
  injectDefaults: perhaps(Schema.Boolean),
  sources: list(Schema.Struct({ pluginRef: Name, extractors: list(Reference) })),
  discovery: perhaps(Reference),
  peerDiscovery: perhaps(
    Schema.Never.annotations({
      message: () => "is not taken: gateways share no state, so they need not find each other"
    })
  ),
  crossReplicaSyncerPluginRef: perhaps(
    Schema.Never.annotations({ message: () => "is not taken: gateways share no state" })
  ),
  crossReplicaSyncInterval: perhaps(Schema.Unknown)
})

const gates = /^(flowControl|haPopulateNonLeaderDatastore)(=(true|false))?$/i

/** llm-d's configuration of its endpoint picker. Source: apix/config/v1alpha1 of llm-d-router. */
export const EndpointPickerConfig = Schema.Struct({
  apiVersion: Schema.Literal(...versions),
  kind: Schema.Literal("EndpointPickerConfig"),
  metadata: perhaps(Schema.Unknown),
  featureGates: list(
    Schema.String.pipe(
      Schema.filter((gate) =>
        gates.test(gate) ||
        `is "${gate}" but the gates are flowControl and haPopulateNonLeaderDatastore, =true or =false`
      )
    )
  ),
  plugins: list(Schema.Struct({ name: perhaps(Name), type: Name, parameters: perhaps(Schema.Unknown) })),
  schedulingProfiles: list(
    Schema.Struct({
      name: Name,
      plugins: list(Schema.Struct({ pluginRef: Name, weight: perhaps(Schema.NonNegative) }))
    })
  ),
  dataLayer: perhaps(DataLayer),
  flowControl: perhaps(FlowControl),
  requestHandler: perhaps(Schema.Struct({ parsers: list(Reference) })),
  /** Deprecated: below flowControl now. */
  saturationDetector: perhaps(Schema.Struct({ pluginRef: perhaps(Name) })),
  /** Deprecated: below requestHandler now. */
  parser: perhaps(Reference)
})
export type EndpointPickerConfig = typeof EndpointPickerConfig.Type

/** Whether a file is meant to be one, right or wrong. */
export const isLlmdConfig = (values: unknown): boolean =>
  isTree(values) && (values["kind"] === "EndpointPickerConfig" ||
    versions.some((version) => values["apiVersion"] === version))
