import type { ApiObject } from "./ApiServer.ts"

export const podsPath = "/api/v1/namespaces/default/pods"
export const poolsPath = "/apis/inference.networking.k8s.io/v1/namespaces/default/inferencepools"
export const slicesPath = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
export const objectivesPath = "/apis/llm-d.ai/v1alpha2/namespaces/default/inferenceobjectives"
export const rewritesPath = "/apis/llm-d.ai/v1alpha2/namespaces/default/inferencemodelrewrites"
export const oldRewritesPath = "/apis/inference.networking.x-k8s.io/v1alpha2/namespaces/default/inferencemodelrewrites"

export interface PodChanges {
  readonly ready?: boolean
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly deleted?: boolean
  /** Undefined: the kubelet has not given it one. */
  readonly ip?: string | undefined
}

/** A pod as an API server tells it, managed fields included: about 5 KB. */
export const vllmPod = (name: string, ip: string | undefined, changes: PodChanges = {}): ApiObject => ({
  metadata: {
    name,
    generateName: "vllm-6d4cf56db6-",
    uid: `00000000-0000-4000-8000-${name}`,
    labels: { app: "vllm", "pod-template-hash": "6d4cf56db6", ...changes.labels },
    ...(changes.annotations === undefined ? {} : { annotations: changes.annotations }),
    ...(changes.deleted === true ? { deletionTimestamp: "2026-11-22T11:00:00Z", deletionGracePeriodSeconds: 30 } : {}),
    ownerReferences: [{
      apiVersion: "apps/v1",
      kind: "ReplicaSet",
      name: "vllm-6d4cf56db6",
      uid: "1",
      controller: true
    }],
    managedFields: [{
      manager: "kube-controller-manager",
      operation: "Update",
      apiVersion: "v1",
      time: "2026-11-22T10:00:00Z",
      fieldsType: "FieldsV1",
      fieldsV1: Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`f:field${i}`, { ".": {}, "f:name": {} }]))
    }]
  },
  spec: {
    nodeName: "gpu-node-7",
    containers: [{
      name: "vllm",
      image: "vllm/vllm-openai:v0.25.1",
      args: ["--model", "Qwen/Qwen3-32B", "--tensor-parallel-size", "2"],
      ports: [{ containerPort: 8000, protocol: "TCP" }],
      env: Array.from({ length: 20 }, (_, i) => ({ name: `VARIABLE_${i}`, value: "a value of ordinary length" })),
      resources: { limits: { "nvidia.com/gpu": "2" }, requests: { cpu: "8", memory: "64Gi" } }
    }]
  },
  status: {
    phase: ip === undefined ? "Pending" : "Running",
    conditions: [
      { type: "Initialized", status: "True", lastProbeTime: null, lastTransitionTime: "2026-11-22T10:00:00Z" },
      { type: "Ready", status: changes.ready === false || ip === undefined ? "False" : "True" },
      { type: "ContainersReady", status: "True" }
    ],
    ...(ip === undefined ? {} : { podIP: ip, podIPs: [{ ip }], hostIP: "192.168.1.7" })
  }
})

/** An InferencePool of the pods with `app: vllm`. */
export const inferencePool = (spec: Readonly<Record<string, unknown>> = {}): ApiObject => ({
  apiVersion: "inference.networking.k8s.io/v1",
  kind: "InferencePool",
  metadata: { name: "vllm" },
  spec: {
    selector: { matchLabels: { app: "vllm" } },
    targetPorts: [{ number: 8000 }],
    appProtocol: "http",
    endpointPickerRef: {
      group: "",
      kind: "Service",
      name: "warmroute",
      port: { number: 9002 },
      failureMode: "FailOpen"
    },
    ...spec
  }
})
