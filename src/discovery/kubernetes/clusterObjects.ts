import { isIP } from "node:net"
import type { RewriteRule, RewriteSet, RewriteTarget } from "../../core/ModelRewrite.ts"
import type { PodLabels } from "../../core/Pod.ts"
import { type Fields, fieldsOf, integerOf, listOf, textOf, textsOf } from "./fields.ts"

/** What we keep of a pod. */
export interface ClusterPod {
  /** `namespace/name`. */
  readonly name: string
  /** Undefined until the kubelet has given it one. */
  readonly ip: string | undefined
  /** It says that it can serve, and nobody has asked it to go. */
  readonly ready: boolean
  readonly labels: PodLabels
  /** Those of the pool's ports that are served, by an annotation of the pod; undefined: all. */
  readonly activePorts: ReadonlyArray<number> | undefined
}

const activePortsAnnotations = ["llm-d.ai/active-ports", "inference.networking.k8s.io/active-ports"]

/** Reads a Pod (core v1), or says why it can't be read. */
export const clusterPod = (object: Fields): ClusterPod | string => {
  const metadata = fieldsOf(object["metadata"])
  const status = fieldsOf(object["status"]) ?? {}
  const labels = textsOf(metadata?.["labels"])
  if (labels === undefined) return "metadata.labels is not a map of text"
  const annotations = textsOf(metadata?.["annotations"])
  if (annotations === undefined) return "metadata.annotations is not a map of text"
  const ip = status["podIP"]
  if (ip !== undefined && (typeof ip !== "string" || (ip !== "" && isIP(ip) === 0))) {
    return "status.podIP is no IP address"
  }
  const conditions = listOf(status["conditions"])
  if (conditions === undefined) return "status.conditions is not a list"
  const saysReady = conditions.map(fieldsOf).some((each) => each?.["type"] === "Ready" && each["status"] === "True")
  const goes = textOf(metadata?.["deletionTimestamp"]) !== undefined
  const written = activePortsAnnotations.map((name) => annotations[name]).find((ports) => ports !== undefined)
  return {
    name: `${textOf(metadata?.["namespace"]) ?? "default"}/${textOf(metadata?.["name"]) ?? ""}`,
    ip: textOf(ip),
    ready: saysReady && !goes,
    labels,
    activePorts: written?.split(",").map((port) => Number(port.trim())).filter(Number.isInteger)
  }
}

/** What we keep of an InferencePool. */
export interface ClusterPool {
  /** `app=vllm,tier=gold`, as the API server takes it. */
  readonly labelSelector: string
  /** Each one is a pod of ours: a data-parallel rank. */
  readonly ports: ReadonlyArray<number>
  /** `http` or `kubernetes.io/h2c`. */
  readonly appProtocol: string
  /** Who picks for the pool and what a gateway does without it, for the log; undefined: nobody. */
  readonly picker: string | undefined
}

const PORTS_MAX = 8

/** Reads an InferencePool (inference.networking.k8s.io/v1), or says why it can't be read. */
export const clusterPool = (object: Fields): ClusterPool | string => {
  const spec = fieldsOf(object["spec"])
  if (spec === undefined) return "it has no spec"
  const labels = textsOf(fieldsOf(spec["selector"])?.["matchLabels"])
  if (labels === undefined) return "spec.selector.matchLabels is not a map of text"
  const names = Object.keys(labels).sort()
  if (names.length === 0) return "spec.selector.matchLabels is empty, which selects no pod"
  const ports = listOf(spec["targetPorts"])?.map((port) => integerOf(fieldsOf(port)?.["number"], 1, 65_535))
  if (ports === undefined || ports.length < 1 || ports.length > PORTS_MAX) {
    return `spec.targetPorts is not a list of 1 to ${PORTS_MAX} ports`
  }
  const known = ports.filter((port) => port !== undefined)
  if (known.length < ports.length) return "spec.targetPorts has a number that is no port"
  if (new Set(known).size < known.length) return "spec.targetPorts has a port twice"
  const appProtocol = spec["appProtocol"] ?? "http"
  if (appProtocol !== "http" && appProtocol !== "kubernetes.io/h2c") {
    return `spec.appProtocol is ${textOf(appProtocol)?.slice(0, 80) ?? "no text"}, neither http nor kubernetes.io/h2c`
  }
  return {
    labelSelector: names.map((name) => `${name}=${labels[name]}`).join(","),
    ports: known,
    appProtocol,
    picker: pickerOf(fieldsOf(spec["endpointPickerRef"]))
  }
}

const pickerOf = (ref: Fields | undefined): string | undefined => {
  if (ref === undefined) return undefined
  const port = integerOf(fieldsOf(ref["port"])?.["number"], 1, 65_535)
  const place = `${textOf(ref["kind"]) ?? "Service"} ${textOf(ref["name"]) ?? "?"}${
    port === undefined ? "" : `:${port}`
  }`
  return `${place}, ${textOf(ref["failureMode"]) ?? "FailClose"}`
}

/** What we keep of an EndpointSlice: pods by address, and the ports that all of them have. */
export interface ClusterSlice {
  /** IPv4, IPv6 or FQDN. */
  readonly family: string
  readonly ports: ReadonlyArray<{ readonly name: string; readonly port: number; readonly tls: boolean }>
  readonly pods: ReadonlyArray<{ readonly ip: string; readonly ready: boolean; readonly name: string | undefined }>
}

/** Reads an EndpointSlice (discovery.k8s.io/v1), or says why it can't be read. */
export const clusterSlice = (object: Fields): ClusterSlice | string => {
  const family = textOf(object["addressType"])
  if (family === undefined) return "it has no addressType"
  const ports = listOf(object["ports"])?.map(fieldsOf)
  const entries = listOf(object["endpoints"])?.map(fieldsOf)
  if (ports === undefined) return "ports is not a list"
  if (entries === undefined) return "endpoints is not a list"
  const namespace = textOf(fieldsOf(object["metadata"])?.["namespace"]) ?? "default"
  const pods: Array<ClusterSlice["pods"][number]> = []
  for (const entry of entries) {
    const conditions = fieldsOf(entry?.["conditions"])
    // Of several addresses the first one counts, as for kube-proxy.
    const ip = listOf(entry?.["addresses"])?.[0]
    if (typeof ip !== "string" || (family !== "FQDN" && isIP(ip) === 0)) {
      return "endpoints has an address that is no IP address"
    }
    const name = textOf(fieldsOf(entry?.["targetRef"])?.["name"])
    const ready = conditions?.["ready"] !== false && conditions?.["terminating"] !== true
    pods.push({ ip, ready, name: name === undefined ? undefined : `${namespace}/${name}` })
  }
  return {
    family,
    ports: ports.flatMap((each) => {
      const port = integerOf(each?.["port"], 1, 65_535)
      const tls = each?.["appProtocol"] === "https"
      return port === undefined ? [] : [{ name: textOf(each?.["name"]) ?? "", port, tls }]
    }),
    pods
  }
}

/** What we keep of an InferenceObjective. */
export interface ClusterObjective {
  readonly pool: string
  /** Higher goes first; below 0 may be dropped. */
  readonly priority: number
}

const INT32_MAX = 2 ** 31 - 1

/** Reads an InferenceObjective (llm-d.ai/v1alpha2), or says why it can't be read. */
export const clusterObjective = (object: Fields): ClusterObjective | string => {
  const spec = fieldsOf(object["spec"])
  const pool = textOf(fieldsOf(spec?.["poolRef"])?.["name"])
  if (pool === undefined) return "spec.poolRef.name is missing"
  const priority = integerOf(spec?.["priority"] ?? 0, -INT32_MAX - 1, INT32_MAX)
  return priority === undefined ? "spec.priority is not an integer of 32 bits" : { pool, priority }
}

/** What we keep of an InferenceModelRewrite. */
export interface ClusterRewrite extends RewriteSet {
  readonly pool: string
}

/** Reads an InferenceModelRewrite (llm-d.ai/v1alpha2), or says why it can't be read. */
export const clusterRewrite = (object: Fields): ClusterRewrite | string => {
  const metadata = fieldsOf(object["metadata"])
  const spec = fieldsOf(object["spec"])
  const pool = textOf(fieldsOf(spec?.["poolRef"])?.["name"])
  if (pool === undefined) return "spec.poolRef.name is missing"
  const rules: Array<RewriteRule> = []
  const written = listOf(spec?.["rules"])
  if (written === undefined) return "spec.rules is not a list"
  for (const [index, rule] of written.entries()) {
    const read = rewriteRule(fieldsOf(rule))
    if (typeof read === "string") return `spec.rules[${index}]: ${read}`
    rules.push(read)
  }
  return {
    pool,
    name: textOf(metadata?.["name"]) ?? "",
    createdAt: textOf(metadata?.["creationTimestamp"]) ?? "",
    rules
  }
}

const rewriteRule = (rule: Fields | undefined): RewriteRule | string => {
  const matches = listOf(rule?.["matches"])
  if (matches === undefined) return "matches is not a list"
  const models: Array<string> = []
  for (const match of matches) {
    const model = fieldsOf(fieldsOf(match)?.["model"])
    const value = textOf(model?.["value"])
    if (value === undefined) return "a match has no model.value"
    if ((model?.["type"] ?? "Exact") !== "Exact") return "a match has a type other than Exact"
    models.push(value)
  }
  const written = listOf(rule?.["targets"])
  if (written === undefined || written.length === 0) return "targets is not a list with an entry"
  const targets: Array<RewriteTarget> = []
  for (const target of written.map(fieldsOf)) {
    const model = textOf(target?.["modelRewrite"])
    if (model === undefined) return "a target has no modelRewrite"
    const weight = integerOf(target?.["weight"] ?? 0, 0, 1_000_000)
    if (weight === undefined) return "a weight is not an integer from 1 to 1,000,000"
    targets.push({ model, weight })
  }
  return { models, targets }
}
