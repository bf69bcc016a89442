import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import {
  clusterObjective,
  clusterPod,
  clusterPool,
  clusterRewrite,
  clusterSlice
} from "../../../src/discovery/kubernetes/clusterObjects.ts"
import { inferencePool, vllmPod } from "./objects.ts"

const decoders = { clusterPod, clusterPool, clusterSlice, clusterObjective, clusterRewrite }

describe("an object that can't be read", () => {
  test.each([
    ["its labels are a list", clusterPod, { metadata: { labels: [] } }, "metadata.labels is not a map of text"],
    ["an annotation is a number", clusterPod, { metadata: { annotations: { a: 1 } } }, "metadata.annotations is not"],
    ["its address is a name", clusterPod, { status: { podIP: "pod.test" } }, "status.podIP is no IP address"],
    ["its conditions are a map", clusterPod, { status: { conditions: {} } }, "status.conditions is not a list"],
    ["no spec", clusterPool, {}, "it has no spec"],
    ["nothing is selected", clusterPool, { spec: { selector: { matchLabels: {} } } }, "is empty, which selects no pod"],
    [
      "a port is text",
      clusterPool,
      inferencePool({ targetPorts: [{ number: "8000" }] }),
      "has a number that is no port"
    ],
    ["a port comes twice", clusterPool, inferencePool({ targetPorts: [{ number: 1 }, { number: 1 }] }), "a port twice"],
    [
      "nine ports",
      clusterPool,
      inferencePool({ targetPorts: Array.from({ length: 9 }, () => ({ number: 1 })) }),
      "a list of 1 to 8 ports"
    ],
    ["a protocol is unknown", clusterPool, inferencePool({ appProtocol: "grpc" }), "is grpc, neither http nor"],
    ["no family", clusterSlice, {}, "it has no addressType"],
    ["pods are no list", clusterSlice, { addressType: "IPv4", endpoints: 7 }, "endpoints is not a list"],
    ["an address is a name", clusterSlice, { addressType: "IPv4", endpoints: [{ addresses: ["a"] }] }, "no IP address"],
    ["no pool", clusterObjective, { spec: { priority: 1 } }, "spec.poolRef.name is missing"],
    ["priority is half", clusterObjective, { spec: { poolRef: { name: "p" }, priority: 0.5 } }, "spec.priority is not"],
    ["no pool named", clusterRewrite, { spec: { rules: [] } }, "spec.poolRef.name is missing"],
    ["no target", clusterRewrite, { spec: { poolRef: { name: "p" }, rules: [{}] } }, "spec.rules[0]: targets is not"],
    ["a match is a pattern", clusterRewrite, {
      spec: { poolRef: { name: "p" }, rules: [{ matches: [{ model: { type: "Regex", value: ".*" } }] }] }
    }, "spec.rules[0]: a match has a type other than Exact"],
    ["a weight is negative", clusterRewrite, {
      spec: { poolRef: { name: "p" }, rules: [{ targets: [{ modelRewrite: "m", weight: -1 }] }] }
    }, "spec.rules[0]: a weight is not an integer"]
  ])("since %s tells why", (_, decode, object, why) => {
    expect(decode(object)).toContain(why)
  })

  test("is never a crash, whichever field is broken and how", () => {
    const paths = (value: unknown, at: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> =>
      typeof value === "object" && value !== null
        ? [at, ...Object.entries(value).flatMap(([key, each]) => paths(each, [...at, key]))]
        : [at]
    const samples: ReadonlyArray<Readonly<Record<string, unknown>>> = [
      { ...vllmPod("a", "10.0.0.1"), spec: {}, metadata: { name: "a", labels: { a: "b" } } },
      inferencePool(),
      {
        addressType: "IPv4",
        ports: [{ port: 1 }],
        endpoints: [{ addresses: ["1.1.1.1"], conditions: { ready: true } }]
      },
      {
        spec: {
          poolRef: { name: "p" },
          rules: [{ matches: [{ model: { value: "m" } }], targets: [{ modelRewrite: "t" }] }]
        }
      }
    ]
    const broken = samples.flatMap((sample) => paths(sample, []).slice(1).map((path) => ({ sample, path })))
    fc.assert(
      fc.property(fc.constantFrom(...broken), fc.jsonValue(), ({ path, sample }, value) => {
        const copy = structuredClone(sample) as Record<string, unknown>
        let at: Record<string, unknown> = copy
        for (const key of path.slice(0, -1)) at = at[key] as Record<string, unknown>
        at[path.at(-1) ?? ""] = value
        for (const decode of Object.values(decoders)) expect(["string", "object"]).toContain(typeof decode(copy))
      }),
      { numRuns: 2000 }
    )
  })
})

describe("a pod", () => {
  test("says what it has, active ports in the old annotation included", () => {
    expect(
      clusterPod(vllmPod("a", "10.0.0.1", { annotations: { "inference.networking.k8s.io/active-ports": "1,x, 2" } }))
    )
      .toEqual({
        name: "default/a",
        ip: "10.0.0.1",
        ready: true,
        labels: { app: "vllm", "pod-template-hash": "6d4cf56db6" },
        activePorts: [1, 2]
      })
  })
})
