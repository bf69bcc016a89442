import type { Decision } from "../../actors/SchedulerPort.ts"
import type { ProcessingRequest } from "./wire/processingRequest.ts"
import type { StructValue } from "./wire/structs.ts"

/**
 * How a picker and a proxy name pods to each other: the endpoint picker protocol of the Gateway API Inference
 * Extension, version 1.0.
 */
export const destinationHeader = "x-gateway-destination-endpoint"
export const destinationNamespace = "envoy.lb"
const servedKey = "x-gateway-destination-endpoint-served"
const subsetNamespace = "envoy.lb.subset_hint"
const subsetKey = "x-gateway-destination-endpoint-subset"

/** The picked pod and those to try after it, joined with commas. */
export const destinationOf = (decision: Decision): string =>
  decision.fallbacks === undefined || decision.fallbacks.length === 0
    ? decision.address.id
    : [decision.address, ...decision.fallbacks].map((address) => address.id).join(",")

/**
 * For proxies that take one address a try: a key for each pod of the list, 0 for the picked one. Our own configuration
 * of Envoy reads them; others pass them over.
 */
export const destinationMetadata = (decision: Decision): Readonly<Record<string, string>> => {
  const metadata: Record<string, string> = { [destinationHeader]: destinationOf(decision) }
  const fallbacks = decision.fallbacks ?? []
  metadata[`${destinationHeader}-0`] = decision.address.id
  for (let i = 0; i < fallbacks.length; i++) metadata[`${destinationHeader}-${i + 1}`] = fallbacks[i]?.id ?? ""
  return metadata
}

/** Pods that the proxy allows, each as `host:port` or a host; undefined when it does not narrow the choice. */
export const subsetOf = ({ metadata }: ProcessingRequest): ReadonlyArray<string> | undefined => {
  const subset = metadata?.get(subsetNamespace)?.get(subsetKey)
  if (subset === undefined) return undefined
  const names: ReadonlyArray<StructValue> = Array.isArray(subset)
    ? subset
    : typeof subset === "string"
    ? subset.split(",")
    : []
  return names.flatMap((name) => typeof name === "string" && name.trim() !== "" ? [name.trim()] : [])
}

/** The pod that answered, as far as the proxy tells; undefined when it does not. */
export const servedPodOf = ({ attributes, metadata }: ProcessingRequest): string | undefined => {
  const told = metadata?.get(destinationNamespace)?.get(servedKey)
  if (typeof told === "string" && told !== "") return told
  return attributeOf(attributes, "upstream.address")
}

/** True when the answer is Envoy's own, because it got none from a pod. */
export const isEnvoysOwnAnswer = ({ attributes }: ProcessingRequest): boolean => {
  const details = attributeOf(attributes, "response.code_details")
  return details !== undefined && details !== "via_upstream"
}

const attributeOf = (attributes: ProcessingRequest["attributes"], name: string): string | undefined => {
  if (attributes === undefined) return undefined
  for (const ofFilter of attributes.values()) {
    const value = ofFilter.get(name)
    if (typeof value === "string" && value !== "") return value
  }
  return undefined
}
