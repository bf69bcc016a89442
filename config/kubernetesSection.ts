import { Duration, Schema } from "effect"
import { BytesText } from "./BytesText.ts"
import { DurationText } from "./DurationText.ts"
import { count, perhaps, setting } from "./schemaParts.ts"

const MIB = 1024 * 1024
const Name = Schema.NonEmptyString
const Ports = Schema.Array(count(1, 65_535)).pipe(Schema.maxItems(8))

/** Pods of a Kubernetes cluster: of an InferencePool, with labels, or of a Service. */
export const KubernetesDiscovery = Schema.Struct({
  /** Name of an InferencePool, whose pods, ports, objectives and model rewrites count. One of this, selector, service. */
  pool: perhaps(Name),
  /** Labels of the pods as for `kubectl --selector`, such as `app=vllm`; it needs ports, and no CRD. */
  selector: perhaps(Name),
  /** Name of a Service whose EndpointSlices list the pods; it needs no CRD. */
  service: perhaps(Name),
  /** With selector: 1 to 8 ports, each a pod of its own (a data-parallel rank). With service: which of its several. */
  ports: setting(Ports, []),
  /** Where all of them are. Default: the namespace of the gateway's own pod, or of the kubeconfig's context. */
  namespace: perhaps(Name),
  /** Credentials outside of a cluster; a relative path written in a file starts at that file. Default: the pod's service account. */
  kubeconfig: perhaps(Name),
  /** Context of the kubeconfig. Default: its current one. */
  context: perhaps(Name),
  /** Reach the pods by https. Default false. */
  tls: setting(Schema.Boolean, false),
  /** Changes are taken at most this often. Default 100 milliseconds. */
  settle: setting(DurationText, Duration.millis(100)),
  /** Objects asked for in one answer. Default 500. */
  pageSize: setting(count(1, 10_000), 500),
  /** Pods, or other objects of one kind, that are kept; further ones are left out with a warning. Default 20000. */
  objectsMax: setting(count(1, 1_000_000), 20_000),
  /** Largest object in a watch; a larger one is passed over. Default 4 MiB. */
  objectBytesMax: setting(BytesText, 4 * MIB),
  /** Largest answer to a question, one page of a list. Default 64 MiB. */
  answerBytesMax: setting(BytesText, 64 * MIB),
  /** For a whole answer, or the beginning of a watch. Default 30 seconds. */
  requestTimeout: setting(DurationText, Duration.seconds(30)),
  /** A watch is begun anew after this, up to half as long again; a connection that died in silence is noticed then. Default 5 minutes. */
  watchTimeout: setting(DurationText, Duration.minutes(5)),
  /** Pause after a question that failed; it doubles up to retryMax. Default 250 milliseconds. */
  retryMin: setting(DurationText, Duration.millis(250)),
  /** Default 30 seconds. */
  retryMax: setting(DurationText, Duration.seconds(30)),
  /** Token and certificates are read again after this, and when they are refused. Default 1 minute. */
  credentialsMaxAge: setting(DurationText, Duration.minutes(1))
}).pipe(
  Schema.filter(({ context, kubeconfig, pool, ports, selector, service }) => {
    const given = [pool, selector, service].filter((name) => name !== undefined)
    if (given.length !== 1) {
      return { path: ["pool"], message: "write one of pool, selector and service: it says which pods serve" }
    }
    if (pool !== undefined && ports.length > 0) {
      return { path: ["ports"], message: "an InferencePool brings its ports; remove ports" }
    }
    if (selector !== undefined && ports.length === 0) {
      return { path: ["ports"], message: "is missing; write the port of the pods, such as [8000]" }
    }
    return context !== undefined && kubeconfig === undefined
      ? { path: ["context"], message: "is a context of a kubeconfig; write kubeconfig too" }
      : undefined
  })
)

export type KubernetesDiscovery = typeof KubernetesDiscovery.Type
