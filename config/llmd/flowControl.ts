import type { EndpointPickerConfig, FlowControl } from "./EndpointPickerConfig.ts"
import type { ReportRow } from "./LlmdReport.ts"

/** What the section becomes, and what is to be said of it. */
export interface FlowControlUse {
  readonly settings: Readonly<Record<string, unknown>>
  readonly rows: ReadonlyArray<ReportRow>
}

/** llm-d's defaults: requests and bytes of a band, seconds of a wait. */
const BAND_REQUESTS_MAX = 5000
const BAND_BYTES_MAX = 1_000_000_000
const REQUEST_TTL_S = 60
/** What stands for a wait without end. */
const WAIT_MAX_S = 3600
/** The most that the setting takes. */
const REQUESTS_MAX = 1_000_000

/** Whether the gate is open; the last mention counts. */
export const hasFlowControl = ({ featureGates }: EndpointPickerConfig): boolean => {
  const gate = featureGates.findLast((each) => /^flowControl(=|$)/i.test(each))
  return gate !== undefined && !/=false$/i.test(gate)
}

/** With the gate shut, the detector decides when negative priorities are refused; that by count has no equivalent. */
export const shedsByUtilization = ({ flowControl, plugins, saturationDetector }: EndpointPickerConfig): boolean => {
  const name = flowControl?.saturationDetector?.pluginRef ?? saturationDetector?.pluginRef ?? "utilization-detector"
  return (plugins.find((plugin) => (plugin.name ?? plugin.type) === name)?.type ?? name) === "utilization-detector"
}

/** llm-d's queue as the gateway's waiting room. With the gate shut, requests go to a pod at once. */
export const flowControlUse = (config: EndpointPickerConfig): FlowControlUse => {
  const { flowControl } = config
  if (hasFlowControl(config)) return { settings: { waiting: waitingOf(flowControl) }, rows: rowsOf(flowControl) }
  const written = flowControl !== undefined &&
      Object.keys(flowControl).some((key) => !["saturationDetector", "priorityBands"].includes(key)) ||
    (flowControl?.priorityBands.length ?? 0) > 0
  return {
    settings: { waiting: { enabled: false } },
    rows: [
      row(
        "featureGates",
        "supported",
        shedsByUtilization(config)
          ? "flowControl is off: nothing waits here, and a negative priority is refused while the pods are saturated"
          : "flowControl is off: nothing waits here; no priority is refused by the count of requests in flight"
      ),
      ...(written ? [row("flowControl", "not needed", "not read, as in llm-d while its gate is off")] : [])
    ]
  }
}

const row = (name: string, support: ReportRow["support"], note: string): ReportRow => ({
  name,
  type: undefined,
  support,
  note,
  inMarginalCost: undefined
})

const waitingOf = (flowControl: FlowControl | undefined): Readonly<Record<string, unknown>> => {
  const { defaultRequestTTL = REQUEST_TTL_S, maxBytes = 0, maxRequests = 0, priorityBands = [] } = flowControl ?? {}
  const timeoutS = defaultRequestTTL === 0 ? WAIT_MAX_S : defaultRequestTTL
  return {
    enabled: true,
    requestsMax: Math.min(REQUESTS_MAX, maxRequests === 0 ? BAND_REQUESTS_MAX : maxRequests),
    bytesMax: maxBytes === 0 ? BAND_BYTES_MAX : maxBytes,
    timeout: `${timeoutS * 1000} millis`,
    bands: priorityBands.flatMap(({ maxRequests = 0, priority = 0 }) =>
      maxRequests === 0 ? [] : [{ priority, requestsMax: Math.min(REQUESTS_MAX, maxRequests) }]
    )
  }
}

const rowsOf = (flowControl: FlowControl | undefined): ReadonlyArray<ReportRow> => {
  const { defaultNegativePriorityBand, defaultPriorityBand, noEndpointRequestTTL, priorityBands = [] } = flowControl ??
    {}
  const templates = [defaultPriorityBand, defaultNegativePriorityBand].filter((band) => band !== undefined)
  const hasBytes = [...priorityBands, ...templates].some(({ maxBytes }) => maxBytes !== undefined)
  const hasTemplate = templates.some(({ maxRequests }) => maxRequests !== undefined)
  const rows = [
    row("flowControl", "supported", "requests wait here while no pod has room; limits and TTL are those of waiting"),
    row(
      "flowControl.saturationDetector",
      "equivalent",
      "a pod has room by what was sent there: prefill ahead below waiting.podQueueMax, and KV space for the prompt"
    )
  ]
  if (priorityBands.length > 0) {
    rows.push(
      row(
        "flowControl.priorityBands",
        "supported",
        "every priority is a band, the higher first; maxRequests is waiting.bands"
      )
    )
  }
  if (hasBytes) rows.push(row("bands' maxBytes", "no equivalent", "waiting.bytesMax counts for all bands"))
  if (hasTemplate) {
    rows.push(row("default bands' maxRequests", "no equivalent", "waiting.requestsMax counts for bands not listed"))
  }
  if (noEndpointRequestTTL !== undefined) {
    rows.push(
      row("flowControl.noEndpointRequestTTL", "no equivalent", "without a pod a request is refused at once, with 503")
    )
  }
  return rows
}
